//! The console: who gets a session, what a request with one needs, and when it ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::num::NonZeroU32;

use strongroom_http::{ApiKeys, CreatedApiKey, Grant, Limits, NewApiKey, Rate, Right};

use support::{Answer, Call, Fixture};

const STATUS: &str = "/api/admin/v1/status";
const SESSION: &str = "/console/session";
const OWN_PAGE: &str = "x-strongroom-console";

async fn fixture() -> Fixture {
    Fixture::with(strongroom_http::ServiceOptions::with_console).await
}

async fn key(fixture: &Fixture, rights: impl IntoIterator<Item = Right>) -> CreatedApiKey {
    let new = NewApiKey::named("operator").with(Grant::of(rights));
    ApiKeys::of(&fixture.org).unwrap().create(new).await.unwrap()
}

fn from_page<'f>(fixture: &'f Fixture, method: &str, path: &str) -> Call<'f> {
    fixture.call_at_root(method, path).header(OWN_PAGE, "1")
}

async fn log_in(fixture: &Fixture, key: &CreatedApiKey) -> Answer {
    from_page(fixture, "POST", SESSION).header("x-api-key", key.key.expose()).send().await
}

/// What a browser sends back.
fn cookie(login: &Answer) -> String {
    assert_eq!(login.status, 204, "{}", login.body);
    login.header("set-cookie").split(';').next().unwrap().to_owned()
}

async fn status_with(fixture: &Fixture, cookie: &str) -> u16 {
    from_page(fixture, "GET", STATUS).header("cookie", cookie).send().await.status.as_u16()
}

#[tokio::test]
async fn a_session_is_a_cookie_that_no_script_and_no_other_site_can_use() {
    let fixture = fixture().await;
    let key = key(&fixture, [Right::Read]).await;
    let login = log_in(&fixture, &key).await;
    let set = login.header("set-cookie");
    assert!(set.contains("; HttpOnly; SameSite=Strict; Max-Age=43200") && !set.contains("Secure"), "{set}");
    let text = cookie(&login);
    assert_eq!(text.len(), "strongroom_console=".len() + 64);
    assert!(!text.contains(key.key.expose()));
    assert_eq!(status_with(&fixture, &text).await, 200);

    let over_tls = from_page(&fixture, "POST", SESSION).header("origin", "https://vault.example");
    let over_tls = over_tls.header("x-api-key", key.key.expose()).send().await;
    let set = over_tls.header("set-cookie");
    assert!(set.starts_with("__Host-strongroom_console=") && set.ends_with("; Secure"), "{set}");
    assert_eq!(status_with(&fixture, &cookie(&over_tls)).await, 200);
    // What another host of the domain planted beside it does not count.
    let both = format!("strongroom_console=00; {}", cookie(&over_tls));
    assert_eq!(status_with(&fixture, &both).await, 200);
}

#[tokio::test]
async fn a_request_that_another_page_could_make_is_refused() {
    let fixture = fixture().await;
    let text = cookie(&log_in(&fixture, &key(&fixture, [Right::Read]).await).await);
    let refusal = "a session of the console needs the header x-strongroom-console, of its own page";
    let write = fixture.call_at_root("POST", "/api/admin/v1/values").header("cookie", &text);
    write.json("{}").await.is_bad_request(refusal);
    fixture.call_at_root("GET", STATUS).header("cookie", &text).send().await.is_bad_request(refusal);
    for site in ["cross-site", "same-site", "none"] {
        let call = from_page(&fixture, "GET", STATUS).header("cookie", &text).header("sec-fetch-site", site);
        call.send().await.is_bad_request(refusal);
        let login = from_page(&fixture, "POST", SESSION).header("sec-fetch-site", site);
        login.header("x-api-key", &fixture.key).send().await.is_bad_request(refusal);
    }
    let own =
        from_page(&fixture, "GET", STATUS).header("cookie", &text).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.status, 200);
    // The cookie of another server of the same host beside it.
    let two = format!("strongroom_console=00; {text}");
    assert_eq!(status_with(&fixture, &two).await, 401);
}

#[tokio::test]
async fn no_other_page_logs_a_user_out() {
    let fixture = fixture().await;
    let text = cookie(&log_in(&fixture, &key(&fixture, [Right::Read]).await).await);
    let refusal = "a session of the console needs the header x-strongroom-console, of its own page";
    let plain = fixture.call_at_root("DELETE", SESSION);
    let cross_site = from_page(&fixture, "DELETE", SESSION).header("sec-fetch-site", "cross-site");
    for call in [plain, cross_site] {
        call.header("cookie", &text).send().await.is_bad_request(refusal);
        assert_eq!(status_with(&fixture, &text).await, 200);
    }
}

#[tokio::test]
async fn requests_of_a_session_count_for_the_rate_of_its_key() {
    let rate = Rate { per_sec: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let fixture = Fixture::with(|options| options.with_console().limits(Limits::default().rate(rate))).await;
    let text = cookie(&log_in(&fixture, &key(&fixture, [Right::Read]).await).await);
    let mut last = 200;
    for _ in 0..100 {
        if last != 200 {
            break;
        }
        last = status_with(&fixture, &text).await;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn only_a_key_that_may_read_begins_a_session() {
    let fixture = fixture().await;
    let documented = from_page(&fixture, "POST", SESSION).header("x-api-key", &fixture.key).send().await;
    documented.is_error(403, "BAD_REQUEST", "SERVER_ERROR", "this API key lacks the right read");
    let nobody = from_page(&fixture, "POST", SESSION).header("x-api-key", "tk_0").send().await;
    assert_eq!(nobody.status, 401);
    assert_eq!(from_page(&fixture, "POST", SESSION).send().await.status, 401);
}

#[tokio::test]
async fn a_session_may_do_what_its_key_may_and_ends_with_it() {
    let fixture = fixture().await;
    let keys = ApiKeys::of(&fixture.org).unwrap();
    let key = key(&fixture, [Right::Read]).await;
    let text = cookie(&log_in(&fixture, &key).await);
    let other = cookie(&log_in(&fixture, &key).await);
    let write = from_page(&fixture, "POST", "/api/admin/v1/definitions").header("cookie", &text);
    write.json(r#"{"name":"A"}"#).await.is_error(
        403,
        "BAD_REQUEST",
        "SERVER_ERROR",
        "this API key lacks the right write",
    );
    // A key that is replaced is taken for a while yet, and so is its session.
    let until = strongroom::Timestamp::from_ms(support::NOW_MS + 60_000);
    keys.rotate(&key.info.id, until, None).await.unwrap().unwrap();
    assert_eq!(status_with(&fixture, &text).await, 200);
    fixture.clock.forward(60);
    assert_eq!(status_with(&fixture, &text).await, 401);
    assert_eq!(status_with(&fixture, &other).await, 401);

    let key = self::key(&fixture, [Right::Read]).await;
    let text = cookie(&log_in(&fixture, &key).await);
    assert_eq!(status_with(&fixture, &text).await, 200);
    assert!(keys.revoke(&key.info.id).await.unwrap());
    assert_eq!(status_with(&fixture, &text).await, 401);
}

#[tokio::test]
async fn a_session_whose_key_has_changed_does_not_live_longer() {
    let fixture = fixture().await;
    let key = key(&fixture, [Right::Read]).await;
    let text = cookie(&log_in(&fixture, &key).await);
    let until = strongroom::Timestamp::from_ms(support::NOW_MS + 7 * 24 * 60 * 60 * 1_000);
    ApiKeys::of(&fixture.org).unwrap().rotate(&key.info.id, until, None).await.unwrap().unwrap();
    let quarters = 12 * 4;
    for quarter in 1..=quarters {
        fixture.clock.forward(15 * 60);
        assert_eq!(status_with(&fixture, &text).await == 200, quarter < quarters, "after {quarter}");
    }
}

#[tokio::test]
async fn a_session_ends_by_logging_out_by_idleness_and_by_age() {
    let fixture = fixture().await;
    let key = key(&fixture, [Right::Read]).await;
    let text = cookie(&log_in(&fixture, &key).await);
    let out = from_page(&fixture, "DELETE", SESSION).header("cookie", &text).send().await;
    assert_eq!(out.status, 204);
    let gone: Vec<_> = out.headers.get_all("set-cookie").iter().collect();
    assert!(gone.len() == 2 && gone.iter().all(|cookie| cookie.to_str().unwrap().contains("Max-Age=0")));
    assert_eq!(status_with(&fixture, &text).await, 401);

    let text = cookie(&log_in(&fixture, &key).await);
    fixture.clock.forward(30 * 60 - 1);
    assert_eq!(status_with(&fixture, &text).await, 200);
    fixture.clock.forward(30 * 60);
    assert_eq!(status_with(&fixture, &text).await, 401);

    let text = cookie(&log_in(&fixture, &key).await);
    for _ in 0..24 * 2 - 1 {
        fixture.clock.forward(15 * 60);
        assert_eq!(status_with(&fixture, &text).await, 200);
    }
    fixture.clock.forward(15 * 60);
    assert_eq!(status_with(&fixture, &text).await, 401);
}

#[tokio::test]
async fn a_key_has_at_most_16_sessions_and_the_one_unused_longest_goes_first() {
    let fixture = fixture().await;
    let key = key(&fixture, [Right::Read]).await;
    let other = self::key(&fixture, [Right::Read]).await;
    let others = cookie(&log_in(&fixture, &other).await);
    let mut cookies = Vec::new();
    for _ in 0..16 {
        fixture.clock.forward(1);
        cookies.push(cookie(&log_in(&fixture, &key).await));
    }
    fixture.clock.forward(1);
    assert_eq!(status_with(&fixture, &cookies[0]).await, 200);
    cookies.push(cookie(&log_in(&fixture, &key).await));
    assert_eq!(status_with(&fixture, &cookies.remove(1)).await, 401);
    for text in cookies.iter().chain([&others]) {
        assert_eq!(status_with(&fixture, text).await, 200);
    }
}

#[tokio::test]
async fn a_browser_that_logs_in_again_takes_the_place_of_its_own_session() {
    let fixture = fixture().await;
    let key = key(&fixture, [Right::Read]).await;
    let mut cookies = Vec::new();
    for _ in 0..16 {
        fixture.clock.forward(1);
        cookies.push(cookie(&log_in(&fixture, &key).await));
    }
    let former = cookies.pop().unwrap();
    let again = from_page(&fixture, "POST", SESSION).header("cookie", &former);
    cookies.push(cookie(&again.header("x-api-key", key.key.expose()).send().await));
    assert_eq!(status_with(&fixture, &former).await, 401);
    for text in &cookies {
        assert_eq!(status_with(&fixture, text).await, 200);
    }
}

#[tokio::test]
async fn an_org_has_at_most_64_sessions_and_the_one_unused_longest_goes_first() {
    let fixture = fixture().await;
    let mut cookies = Vec::new();
    for _ in 0..5 {
        let key = key(&fixture, [Right::Read]).await;
        for _ in 0..13 {
            fixture.clock.forward(1);
            cookies.push(cookie(&log_in(&fixture, &key).await));
        }
    }
    assert_eq!(status_with(&fixture, &cookies[0]).await, 401);
    for text in &cookies[1..] {
        assert_eq!(status_with(&fixture, text).await, 200);
    }
}

#[tokio::test]
async fn the_page_runs_its_own_files_alone_and_is_not_there_without_the_console() {
    let (with, without) = (fixture().await, Fixture::new().await);
    for path in ["/", "/console/app.js", "/console/app.css", "/console/icon.svg", "/console/licences.txt"] {
        let answer = with.call_at_root("GET", path).send().await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(without.call_at_root("GET", path).send().await.status, 404, "{path}");
    }
    let page = with.call_at_root("GET", "/").send().await;
    let policy = page.header("content-security-policy");
    for rule in ["script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe") && policy.contains("require-trusted-types-for 'script'"), "{policy}");
    assert!(
        !page.body.contains("<style") && !page.body.contains(" style=") && !page.body.contains("<script>")
    );

    let key = key(&without, [Right::Read]).await;
    assert_eq!(log_in(&without, &key).await.status, 404);
    let forged = from_page(&without, "GET", STATUS).header("cookie", "strongroom_console=00").send().await;
    assert_eq!(forged.status, 401);
}

#[tokio::test]
async fn the_first_view_of_a_large_org_is_less_than_200_kb() {
    let fixture = fixture().await;
    let desk = key(&fixture, [Right::Read, Right::Write]).await;
    // Longer than what a cell shows of it.
    let long = "v".repeat(200);
    for hundred in 0..10 {
        let names: Vec<String> =
            (0..100).map(|one| format!("VARIABLE_OF_A_LARGE_ORG_{hundred}_{one:02}")).collect();
        let definitions: Vec<_> = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let values: Vec<_> =
            names.iter().map(|name| serde_json::json!({ "name": name, "value": long })).collect();
        let body = serde_json::json!({ "definitions": definitions, "values": values }).to_string();
        let call = fixture.call_at_root("POST", "/api/admin/v1/values");
        let done = call.header("x-api-key", desk.key.expose()).json(&body).await;
        assert_eq!(done.status, 200, "{}", done.body);
    }
    for account in 0..200 {
        fixture.register(&format!("account_{account:03}")).await;
    }
    let text = cookie(&log_in(&fixture, &desk).await);
    let mut bytes = 0;
    for path in ["/", "/console/app.js", "/console/app.css", "/console/icon.svg", STATUS, FIRST_VIEW] {
        let answer = from_page(&fixture, "GET", path).header("cookie", &text).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        bytes += answer.body.len();
    }
    assert!(bytes < 200_000, "{bytes} bytes");
}

/// What the console asks for first.
const FIRST_VIEW: &str = "/api/admin/v1/matrix?limit=50&columns=10";
