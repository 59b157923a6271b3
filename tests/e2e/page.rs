//! The page at `/`, in a real browser.

use sschat_tests::browser::{Browser, Page};
use sschat_tests::host::artifacts;
use sschat_tests::{Host, Rest};

async fn say(page: &mut Page, pane: &str, text: &str) {
    page.click(&format!("#pane-{pane} .send")).await;
    page.evaluate(&format!(
        "document.querySelector('#pane-{pane} input').focus()"
    ))
    .await;
    page.type_text(text).await;
    page.enter().await;
}

fn heard(pane: &str, text: &str) -> String {
    format!(
        "[...document.querySelectorAll('#pane-{pane} .said')].some(row => row.textContent.includes({text:?}))"
    )
}

async fn unbroken(page: &mut Page) {
    let overflow = page
        .evaluate("document.documentElement.scrollWidth - innerWidth")
        .await;
    assert!(
        overflow.as_f64().unwrap() <= 0.0,
        "the page is {overflow} pixels too wide"
    );
    let below =
        "document.documentElement.scrollHeight - document.querySelector('footer').offsetTop";
    let below = page.evaluate(below).await;
    assert!(
        below.as_f64().unwrap() < 300.0,
        "{below} pixels below the end"
    );
    assert!(page.errors().is_empty(), "{:#?}", page.errors());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_panes_exchange_messages() {
    let host = Host::plain().await;
    let browser = Browser::start().await;
    let shots = artifacts("page");
    let url = format!("http://{}/", host.address());
    let mut page = browser.open(&url, 1440, 1000).await;
    page.wait_for("document.querySelector('#health').textContent.includes('ready')")
        .await;
    page.screenshot(&shots.join("1-fresh-1440.png")).await;

    page.click("#make-all").await;
    page.wait_for("document.querySelectorAll('.who .dot.on').length === 2")
        .await;
    page.wait_for("document.querySelector('#pane-a .peers').textContent.includes('Bob is online')")
        .await;
    page.wait_for(
        "document.querySelector('#pane-b .peers').textContent.includes('Alice is online')",
    )
    .await;

    say(&mut page, "a", "Hello Bob, <b>is</b> this \"thing\" on?").await;
    page.wait_for(&heard("b", "Hello Bob, <b>is</b> this \"thing\" on?"))
        .await;
    say(&mut page, "b", "Loud and clear 🦀").await;
    page.wait_for(&heard("a", "Loud and clear 🦀")).await;
    // Each shows what was said once, its own included.
    for pane in ["a", "b"] {
        let rows = page
            .evaluate(&format!(
                "document.querySelectorAll('#pane-{pane} .said').length"
            ))
            .await;
        assert_eq!(rows, 2, "pane {pane}");
    }
    page.screenshot(&shots.join("2-talking-1440.png")).await;
    unbroken(&mut page).await;
    page.prefer("dark").await;
    page.screenshot(&shots.join("3-talking-dark-1440.png"))
        .await;
    page.resize(390, 844).await;
    unbroken(&mut page).await;
    page.screenshot(&shots.join("4-talking-dark-390.png")).await;
    page.prefer("light").await;
    page.screenshot(&shots.join("5-talking-390.png")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_step_by_step() {
    let host = Host::plain().await;
    let browser = Browser::start().await;
    let mut page = browser
        .open(&format!("http://{}/", host.address()), 390, 844)
        .await;
    for step in ["#make-key", "#make-room", "#make-users"] {
        page.click(step).await;
    }
    page.wait_for("document.querySelector('#pane-a .peers').textContent.includes('Bob is online')")
        .await;

    page.click("#pane-b .member").await;
    page.wait_for(
        "document.querySelector('#pane-b .state').textContent.includes('not in the room')",
    )
    .await;
    say(&mut page, "b", "can you hear me?").await;
    page.wait_for("document.querySelector('#pane-b .wrong') !== null")
        .await;
    say(&mut page, "a", "only among us").await;
    page.click("#pane-b .member").await;
    page.wait_for(
        "!document.querySelector('#pane-b .state').textContent.includes('not in the room')",
    )
    .await;
    say(&mut page, "a", "welcome back").await;
    page.wait_for(&heard("b", "welcome back")).await;
    assert_eq!(page.evaluate(&heard("b", "only among us")).await, false);
    assert_eq!(page.evaluate(&heard("a", "can you hear me?")).await, false);

    page.click("#pane-b .connect").await;
    page.wait_for(
        "document.querySelector('#pane-a .peers').textContent.includes('Bob is offline')",
    )
    .await;
    page.click("#pane-b .connect").await;
    page.wait_for("document.querySelector('#pane-a .peers').textContent.includes('Bob is online')")
        .await;
    unbroken(&mut page).await;

    page.click("#drop-key").await;
    page.wait_for("document.querySelector('#pane-a .messages').textContent.includes('4501')")
        .await;
    page.wait_for("document.querySelector('#pane-b .messages').textContent.includes('4501')")
        .await;
    page.screenshot(&artifacts("page").join("6-key-deleted-390.png"))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_tab_joins_the_room() {
    let host = Host::plain().await;
    let browser = Browser::start().await;
    let mut first = browser
        .open(&format!("http://{}/", host.address()), 1440, 1000)
        .await;
    first.click("#make-all").await;
    first
        .wait_for("document.querySelectorAll('.who .dot.on').length === 2")
        .await;
    // What the button opens, in a tab that the test can see.
    first
        .evaluate(
            "window.open = () => ({ location: { set href(url) { window.invited = url; } } }), 0",
        )
        .await;
    first.click("#invite").await;
    first.wait_for("window.invited !== undefined").await;
    let link = first
        .evaluate("new URL(window.invited, location.href).href")
        .await;
    let mut second = browser.open(link.as_str().unwrap(), 1440, 1000).await;
    second
        .wait_for("document.querySelector('.who .dot.on') !== null")
        .await;
    second
        .wait_for("document.querySelector('.peers').textContent.includes('Alice is online')")
        .await;
    say(&mut second, "a", "Carol here").await;
    first.wait_for(&heard("a", "Carol here")).await;
    first.wait_for(&heard("b", "Carol here")).await;
    say(&mut first, "b", "hi Carol").await;
    second.wait_for(&heard("a", "hi Carol")).await;
    second
        .screenshot(&artifacts("page").join("7-second-tab-1440.png"))
        .await;
    unbroken(&mut second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_what_went_wrong() {
    let host =
        Host::start(sschat_tests::Options::new().env("SPIN_VARIABLE_REGISTRATION", "closed")).await;
    let browser = Browser::start().await;
    let mut page = browser
        .open(&format!("http://{}/", host.address()), 1440, 1000)
        .await;
    page.click("#make-all").await;
    page.wait_for("document.querySelector('#alert').textContent.includes('registration_closed')")
        .await;
    host.kill().await;
    page.click("#make-key").await;
    page.wait_for("document.querySelector('#alert').textContent.includes('does not answer')")
        .await;
}

#[tokio::test]
async fn the_page_is_one_file_under_a_strict_policy() {
    let host = Host::plain().await;
    let answer = Rest::new(host.address()).get("/").await.expect(200);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let policy = answer
        .header("content-security-policy")
        .expect("a content security policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let page = answer.text();
    for outside in [
        "src=\"http",
        "src='http",
        "@import",
        "url(http",
        "integrity=",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}
