//! How often one client may ask: registrations of an address, calls under an API key.
//!
//! Counted on this host alone: where several share the work, each gives as much. The generic cell rate algorithm lets the
//! whole of a period come at once, and then as much as time brings back.

use super::body::Body;
use super::{Remote, reply};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// Where API keys are made.
const REGISTER: &str = "/api/register";

/// What calls of backends begin with.
const API: &str = "/api/";

/// Clients that are told apart. More at once, and the others are taken for one.
const CLIENTS: usize = 100_000;

/// How often one client may ask; nothing for no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Registrations of an address in a minute. Programs on this machine are not counted.
    pub registrations: Option<NonZeroU32>,
    /// Calls under one API key in a second.
    pub calls: Option<NonZeroU32>,
}

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock>;

/// The bound for each of many clients.
struct Pace<K: Hash + Eq + Clone> {
    limiter: Limiter<K>,
    /// Who stands for those who are too many.
    others: K,
}

impl<K: Hash + Eq + Clone> Pace<K> {
    fn new(quota: Quota, others: K) -> Self {
        Self {
            limiter: RateLimiter::dashmap(quota),
            others,
        }
    }

    /// Counts one; after how many seconds it may be tried again, where it is too many.
    fn counts(&self, client: K) -> Result<(), u64> {
        let mut client = client;
        if self.limiter.len() >= CLIENTS {
            self.limiter.retain_recent();
            if self.limiter.len() >= CLIENTS {
                client = self.others.clone();
            }
        }
        self.limiter.check_key(&client).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            wait.as_secs() + 1
        })
    }
}

/// What is bounded on a host.
pub(super) struct Paces {
    registrations: Option<Pace<IpAddr>>,
    calls: Option<Pace<u64>>,
    hasher: RandomState,
}

impl Paces {
    pub(super) fn new(rates: Rates) -> Self {
        let nobody = IpAddr::from([0; 4]);
        Self {
            registrations: rates
                .registrations
                .map(|most| Pace::new(Quota::per_minute(most), nobody)),
            calls: rates
                .calls
                .map(|most| Pace::new(Quota::per_second(most), 0)),
            hasher: RandomState::new(),
        }
    }

    /// The refusal of a request that is one too many.
    pub(super) fn refuses<B>(
        &self,
        request: &Request<B>,
        remote: &Remote,
    ) -> Option<Response<Body>> {
        let path = request.uri().path();
        if let Some(pace) = &self.registrations
            && request.method() == Method::POST
            && path.trim_end_matches('/') == REGISTER
            && let Some(address) = network(remote.address.ip())
            && let Err(wait) = pace.counts(address)
        {
            let msg = "this address registered too often; try again later";
            return Some(too_many("too_many_registrations", msg, wait));
        }
        let pace = self.calls.as_ref().filter(|_| path.starts_with(API))?;
        let key = super::policies::presented_key(request.headers(), request.uri().query()).ok()?;
        let wait = pace.counts(self.hasher.hash_one(key)).err()?;
        let msg = "this API key calls too often; try again later";
        Some(too_many("too_many_calls", msg, wait))
    }
}

/// Whom an address stands for: of version 6 a network of 64 bits, for that is what a customer is given. Nobody where it
/// is this machine's.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        own if own.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => {
            let bits = address.to_bits() & (u128::MAX << 64);
            Some(std::net::Ipv6Addr::from_bits(bits).into())
        }
    }
}

fn too_many(code: &str, msg: &str, wait: u64) -> Response<Body> {
    let mut response = reply::error(StatusCode::TOO_MANY_REQUESTS, code, msg);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_others_theirs() {
        let quota = Quota::per_minute(NonZeroU32::new(3).unwrap());
        let pace = Pace::new(quota, 0);
        for client in [1, 2] {
            assert_eq!([(); 3].map(|()| pace.counts(client)), [Ok(()); 3]);
            let wait = pace.counts(client).unwrap_err();
            assert!((1..=21).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn too_many_clients_are_taken_for_one() {
        let quota = Quota::per_minute(NonZeroU32::new(1).unwrap());
        let pace = Pace::new(quota, 0);
        for client in 1..=CLIENTS as u64 {
            assert_eq!(pace.counts(client), Ok(()));
        }
        assert_eq!(pace.counts(u64::MAX), Ok(()));
        assert!(pace.counts(u64::MAX - 1).is_err());
        assert!(pace.limiter.len() <= CLIENTS + 1);
    }

    #[test]
    fn addresses_stand_for_who_was_given_them() {
        let of = |address: &str| network(address.parse().unwrap()).map(|it| it.to_string());
        assert_eq!(of("127.0.0.1"), None);
        assert_eq!(of("::1"), None);
        assert_eq!(of("::ffff:1.2.3.4").unwrap(), "1.2.3.4");
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
    }
}
