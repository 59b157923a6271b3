//! The mirror against hosts that come, go, are missed and are read anew.

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn who(name: u8) -> User {
    User {
        tenant: "t".into(),
        user: name.to_string().into(),
    }
}

fn rooms() -> Rooms {
    Box::new(["r".into()])
}

fn change(name: u8, online: bool) -> Change {
    Change {
        who: who(name),
        online,
        rooms: rooms(),
    }
}

fn word(host: u64, number: u64, changes: Vec<Change>) -> Word {
    Word {
        host,
        number,
        changes,
        anew: false,
        asks: false,
        listens: false,
        ends: false,
    }
}

fn told(changes: &[Change]) -> Vec<(&str, bool)> {
    let told = changes.iter();
    told.map(|it| (&*it.who.user, it.online)).collect()
}

/// A mirror that knows the hosts 1 and 2, at both of which user 7 is.
fn two() -> (Mirror, Instant) {
    let (mut mirror, now) = (Mirror::default(), Instant::now());
    for host in [1, 2] {
        assert!(mirror.heard(word(host, 5, vec![]), now).read);
        let users = HashMap::from([(who(7), rooms())]);
        let heard = mirror.read(host, Some((5, users)));
        assert_eq!(
            (told(&heard.changes).len(), heard.read),
            (2 - host as usize, false)
        );
    }
    (mirror, now)
}

#[test]
fn a_user_on_two_hosts_stays_online_when_one_dies() {
    let (mut mirror, start) = two();
    let later = start + Duration::from_secs(10);
    mirror.heard(word(2, 5, vec![]), later);
    assert!(mirror.expire(later, Duration::from_secs(9)).is_empty());
    assert!(mirror.online(&who(7)) && mirror.peers() == 1);
    let last = later + Duration::from_secs(10);
    let gone = mirror.expire(last, Duration::from_secs(9));
    assert_eq!(told(&gone), [("7", false)]);
    assert!(mirror.expire(last, Duration::from_secs(9)).is_empty());
}

#[test]
fn a_user_who_is_here_too_stays_online() {
    let (mut mirror, now) = two();
    assert_eq!(mirror.arrived(&who(7), &rooms()), (true, false));
    assert_eq!(mirror.population("t"), (1, 1));
    let end = |host| Word {
        ends: true,
        ..word(host, 0, vec![])
    };
    assert!(mirror.heard(end(1), now).changes.is_empty());
    assert!(mirror.heard(end(2), now).changes.is_empty());
    assert_eq!(mirror.departed(&who(7)), (true, true));
    assert_eq!(mirror.departed(&who(7)), (false, false));
}

#[test]
fn a_missed_word_has_the_host_read_once() {
    let (mut mirror, now) = two();
    let heard = mirror.heard(word(1, 6, vec![change(8, true)]), now);
    assert_eq!(
        (told(&heard.changes), heard.read),
        (vec![("8", true)], false)
    );
    let heard = mirror.heard(word(1, 8, vec![change(9, true)]), now);
    assert!(heard.read && heard.changes.is_empty());
    assert!(!mirror.heard(word(1, 9, vec![]), now).read);
    let users = |names: &[u8]| names.iter().map(|it| (who(*it), rooms())).collect();
    // It was read before the last word.
    let heard = mirror.read(1, Some((8, users(&[8, 9]))));
    assert_eq!(
        (told(&heard.changes), heard.read),
        (vec![("9", true)], true)
    );
    let heard = mirror.read(1, Some((9, users(&[9]))));
    assert_eq!(
        (told(&heard.changes), heard.read),
        (vec![("8", false)], false)
    );
}

proptest! {
    /// Two hosts whose words are lost now and then, and users who come and go there and
    /// here: in the end the mirror is right, and each change of a user was told once.
    #[test]
    fn the_mirror_tells_each_change_once(
        events in proptest::collection::vec((0_u64..3, 0_u8..4, any::<bool>(), any::<bool>()), 1..80),
    ) {
        let (mut mirror, now) = (Mirror::default(), Instant::now());
        let mut truth: HashMap<u64, (u64, HashSet<u8>)> = HashMap::new();
        let mut seen: HashSet<Box<str>> = HashSet::new();
        let mut reads: Vec<u64> = Vec::new();
        let note = |seen: &mut HashSet<Box<str>>, changes: Vec<Change>| {
            for change in changes {
                let is_new = match change.online {
                    true => seen.insert(change.who.user),
                    false => seen.remove(&change.who.user),
                };
                assert!(is_new, "told twice");
            }
        };
        for (host, name, lost, read) in events {
            let (number, users) = truth.entry(host).or_default();
            let online = !users.contains(&name);
            if online { users.insert(name) } else { users.remove(&name) };
            if host == 0 {
                let (_, turned) = match online {
                    true => mirror.arrived(&who(name), &rooms()),
                    false => mirror.departed(&who(name)),
                };
                if turned {
                    note(&mut seen, vec![change(name, online)]);
                }
                continue;
            }
            *number += 1;
            if !lost {
                let heard = mirror.heard(word(host, *number, vec![change(name, online)]), now);
                if heard.read {
                    reads.push(host);
                }
                note(&mut seen, heard.changes);
            }
            if read && let Some(host) = reads.pop() {
                let (number, users) = &truth[&host];
                let users = users.iter().map(|it| (who(*it), rooms())).collect();
                let heard = mirror.read(host, Some((*number, users)));
                prop_assert!(!heard.read);
                note(&mut seen, heard.changes);
            }
        }
        for host in [1, 2] {
            let Some((number, users)) = truth.get(&host) else { continue };
            note(&mut seen, mirror.heard(word(host, *number, vec![]), now).changes);
            let users = users.iter().map(|it| (who(*it), rooms())).collect();
            note(&mut seen, mirror.read(host, Some((*number, users))).changes);
        }
        for name in 0..4 {
            let online = truth.values().any(|(_, users)| users.contains(&name));
            prop_assert_eq!(mirror.online(&who(name)), online);
            prop_assert_eq!(seen.contains(&*name.to_string()), online);
        }
    }
}
