//! How often one client may ask.

use sschat_tests::{App, Host, Options, Rest};

fn waits(answer: &sschat_tests::Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

/// Each address has its share; this machine's programs are not counted, whatever others do.
#[tokio::test]
async fn an_address_registers_so_often_and_no_more() {
    let options = Options::new().args(&[
        "--registrations-per-minute",
        "3",
        "--trusted-proxy",
        "127.0.0.1",
    ]);
    let host = Host::start(options).await;
    let rest = Rest::new(host.address());
    let register = async |from: &str| {
        let headers = [("x-forwarded-for", from)];
        rest.send("POST", "/api/register", &headers, "").await
    };
    for address in ["1.2.3.4", "2001:db8::1"] {
        for _ in 0..3 {
            register(address).await.expect(201);
        }
        let refused = register(address).await;
        let refused = refused.expect_error(429, "too_many_registrations");
        assert!((1..=21).contains(&waits(&refused)), "{refused:?}");
    }
    // The rest of the same customer's network.
    register("2001:db8::2")
        .await
        .expect_error(429, "too_many_registrations");
    register("2001:db8:0:1::1").await.expect(201);
    for _ in 0..5 {
        App::register(&host).await;
    }
    // What is no registration is not counted.
    let headers = [("x-forwarded-for", "1.2.3.4")];
    rest.send("GET", "/healthz", &headers, "").await.expect(200);
}

#[tokio::test]
async fn a_key_calls_so_often_and_others_do_not_wait_for_it() {
    let options = Options::new().args(&["--calls-per-second", "5"]);
    let host = Host::start(options).await;
    let (busy, calm) = (App::register(&host).await, App::register(&host).await);
    let asked = futures::future::join_all((0..50).map(|_| busy.call("GET", "/api/room"))).await;
    let refused: Vec<_> = asked.iter().filter(|it| it.status == 429).collect();
    assert!(
        refused.len() >= 30 && refused.len() <= 45,
        "{}",
        refused.len()
    );
    for answer in refused {
        assert_eq!(answer.json()["code"], "too_many_calls");
        assert_eq!(waits(answer), 1);
    }
    calm.call("GET", "/api/room").await.expect(200);
    // By whatever way it presents the key.
    let rest = Rest::new(host.address());
    let bearer = format!("Bearer {}", busy.key);
    let headers = [("authorization", bearer.as_str())];
    let asked =
        futures::future::join_all((0..10).map(|_| rest.send("GET", "/api/room", &headers, "")))
            .await;
    assert!(asked.iter().any(|it| it.status == 429));
}
