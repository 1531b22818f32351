//! The site as its callers see it: requests in, whole answers out, over a store on disk.

mod corrections;
mod gateways;
mod metrics;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use model::reason::{Refusal, RefusedPart};
use model::registry::{InForce, Registry, parse_pilot};
use model::{Flags, GatewayId, PilotId, Quality, Reading, Reason, SeriesKey, UnixMillis, Value};
use seeds::factors::Factors;
use store::{Batch, Registration, RejectedMessage, SequenceSeen, Store, Token, WholeOrParts};
use tower::ServiceExt;

use super::access::{Gate, TokenScope, generate_token};
use super::{Site, router};
use crate::Aggregator;

/// A site over a store in a directory of its own, which is removed at the end.
struct Fixture {
    dir: PathBuf,
    site: Arc<Site>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // Another process may have cleaned the temporary directory already.
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

const START: i64 = 1_740_787_200_000; // 2025-03-01T00:00:00Z

fn pilot_file(id: &str, name: &str, region: &str) -> String {
    format!(
        "[pilot]\nid = \"{id}\"\nname = {{ zh = \"{name}\", en = \"{name}\" }}\nenterprise = \"E\"\nregion = \"{region}\"\n\
         sector = \"electronics\"\nclass = \"pilot\"\nzone = \"Asia/Shanghai\"\n[baseline]\nfrom = 2015-01-01\n\
         to = 2015-12-31\n[[series]]\nasset = \"press\"\nname = \"electricity\"\nquantity = \"energy.electricity\"\n\
         kind = \"counter\"\nunit = \"kWh\"\n[[series]]\nasset = \"test\"\nname = \"good\"\nquantity = \"output.good\"\n\
         kind = \"delta\"\nunit = \"piece\"\n"
    )
}

const HOSTILE: &str = "<script>alert(1)</script>";

fn registry() -> Registry {
    let mut registry = Registry::default();
    for (id, name, region) in [("p-1", HOSTILE, "hami"), ("p-2", "Two", "kashi")] {
        let pilot = parse_pilot(&format!("{id}.toml"), &pilot_file(id, name, region)).unwrap();
        registry.pilots.insert(pilot.id.clone(), Arc::new(pilot));
    }
    registry
}

fn pilot(id: &str) -> PilotId {
    PilotId::parse(id).unwrap()
}

fn reading(minute: i64, value: f64, id: Option<&str>) -> Reading {
    Reading {
        at: UnixMillis(START + minute * 60_000),
        value: Value::from_f64(value),
        quality: Quality::Good,
        flags: Flags::default(),
        id: id.map(Into::into),
    }
}

fn rejected() -> RejectedMessage {
    let detail = "`volt` is no unit of energy".to_owned();
    RejectedMessage {
        at: UnixMillis(START),
        topic: "pilotline/v1/p-1/gw".to_owned(),
        pilot: Some(pilot("p-1")),
        login: Some("gw".to_owned()),
        bytes: b"{\"a\":1}".to_vec(),
        size: 7,
        hash: 42,
        whole: WholeOrParts::Parts,
        refusals: vec![Refusal { reason: Reason::WrongUnit, part: RefusedPart::Reading(3), detail }],
        retained: false,
    }
}

fn batch(store: &Store) -> Batch {
    let series = |asset: &str, name: &str, product: Option<&str>| {
        let key =
            SeriesKey { pilot: pilot("p-1"), asset: asset.into(), name: name.into(), product: product.map(Into::into) };
        store.intern(&key, &Registration::Registered)
    };
    let (meter, a, b) =
        (series("press", "electricity", None), series("test", "good", Some("A")), series("test", "good", Some("B")));
    let mut batch = Batch::default();
    batch.readings.extend((0..10).map(|n| (meter, reading(n * 15, 100.0 + n as f64 * 0.5, None))));
    batch.readings.extend([(b, reading(10, 2.0, Some("x"))), (a, reading(10, 1.0, None)), (a, reading(20, 3.0, None))]);
    // The same identity with another value: a conflict, of which the greater stands.
    batch.readings.push((a, reading(20, 2.0, None)));
    batch.rejections.push(rejected());
    batch.counters.received = 3;
    batch.counters.committed = 2;
    batch.counters.rejected[Reason::BadJson.index()] = 1;
    batch.counters.refused[Reason::WrongUnit.index()] = 1;
    batch.counters.readings = 13;
    let seen = |seq| SequenceSeen { pilot: pilot("p-1"), gateway: GatewayId::parse("gw").unwrap(), boot: 1, seq };
    batch.sequences.extend([seen(0), seen(1), seen(5)]);
    batch
}

impl Fixture {
    fn new() -> Fixture {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pilotline-publish-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        let store = Store::open(&dir, store::Access::Owner).unwrap();
        store.journal().unwrap().commit(UnixMillis(START), &batch(&store)).unwrap();
        store.settle_now().unwrap();
        let programme = Arc::new(seeds::programme::builtin());
        let registry = Arc::new(InForce::new(registry()));
        let aggregator = Aggregator::new(store, registry, programme, Arc::new(Factors::builtin()));
        aggregator.catch_up().unwrap();
        Fixture { dir, site: Arc::new(Site::new(aggregator)) }
    }

    fn token(&self, scope: &str) -> String {
        let scope = TokenScope::parse(scope).unwrap();
        let (secret, sha256) = generate_token(&scope).unwrap();
        let text = match &scope {
            TokenScope::Operator => "operator".to_owned(),
            TokenScope::Programme => "programme".to_owned(),
            TokenScope::Region(id) => format!("region:{id}"),
            TokenScope::Sector(id) => format!("sector:{id}"),
            TokenScope::Pilot(id) => format!("pilot:{id}"),
        };
        let token = Token { name: secret.clone(), scope: text, sha256, created: UnixMillis(0), expires: None };
        self.site.store.write(|tx| tx.put_token(&token)).unwrap();
        secret
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Gate::Open, path, &[]).await
    }

    async fn ask(&self, gate: Gate, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let service = router(Arc::clone(&self.site), gate);
        let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn ask_with(&self, token: &str, path: &str) -> Answer {
        self.ask(Gate::Tokens, path, &[(header::AUTHORIZATION, &format!("Bearer {token}"))]).await
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    #[track_caller]
    fn ok(self) -> Answer {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

const METER: &str = "/api/v1/readings?pilot=p-1&asset=press&name=electricity";
const PIECES: &str = "/api/v1/readings?pilot=p-1&asset=test&name=good";

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_several_products_come_in_time_order_and_name_their_product() {
    let site = Fixture::new();
    let answer = site.get(PIECES).await.ok();
    insta::assert_snapshot!(answer.body, @r#"
    [{"at":"2025-03-01T00:10:00.000Z","value":1,"quality":"good","unit":"piece","product":"A"},
    {"at":"2025-03-01T00:10:00.000Z","value":2,"quality":"good","unit":"piece","id":"x","product":"B"},
    {"at":"2025-03-01T00:20:00.000Z","value":3,"quality":"good","unit":"piece","conflict":true,"product":"A"}]
    "#);
    let one = site.get(&format!("{PIECES}&product=B")).await.ok();
    assert_eq!(one.json().as_array().unwrap().len(), 1);
    assert!(one.json()[0].get("product").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_its_registered_series_has_taken_up_is_one_row() {
    let site = Fixture::new();
    let store = &site.site.store;
    let key = |name: &str| SeriesKey { pilot: pilot("p-1"), asset: "press".into(), name: name.into(), product: None };
    let kept = store.intern(&key("electricity"), &Registration::Unregistered { unit: Some("Wh".into()) });
    // The registered series has the first one, converted, and refused the second.
    let mut batch = Batch::default();
    batch.readings.extend([(kept, reading(0, 100_000.0, None)), (kept, reading(1, -5.0, None))]);
    store.journal().unwrap().commit(UnixMillis(START), &batch).unwrap();
    store.settle_now().unwrap();
    for path in [METER.to_owned(), format!("{METER}&limit=2")] {
        let answer = site.get(&path).await.ok();
        let rows = answer.json();
        assert_eq!((&rows[0]["value"], &rows[0]["unit"], rows[0].get("flags")), (&100.into(), &"kWh".into(), None));
        assert_eq!((&rows[1]["value"], &rows[1]["flags"][0]), (&(-5).into(), &"unregistered".into()));
    }
    assert_eq!(site.get(METER).await.ok().json().as_array().unwrap().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_are_csv_for_who_asks_for_it() {
    let site = Fixture::new();
    let path = format!("{PIECES}&from=2025-03-01T00:10:00Z&to=2025-03-01T00:20:00Z");
    let answer = site.ask(Gate::Open, &path, &[(header::ACCEPT, "text/csv")]).await.ok();
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/csv; charset=utf-8; header=present");
    let lines: Vec<&str> = answer.body.split("\r\n").collect();
    assert_eq!(
        lines,
        [
            "at,value,quality,unit,id,flags,conflict,product,original,original_quality",
            "2025-03-01T00:10:00.000Z,1,good,piece,,,,A,,",
            "2025-03-01T00:10:00.000Z,2,good,piece,x,,,B,,",
            ""
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_add_up_to_the_whole_answer() {
    let site = Fixture::new();
    for path in
        [METER, PIECES, "/api/v1/rollups?pilot=p-1&asset=press&name=electricity&window=quarter", "/api/v1/pilots"]
    {
        let whole = site.get(path).await.ok().json();
        let glue = if path.contains('?') { '&' } else { '?' };
        for limit in 1..4 {
            let mut next = Some(format!("{path}{glue}limit={limit}"));
            let mut rows = Vec::new();
            while let Some(path) = next {
                let page = site.get(&path).await.ok();
                rows.extend(page.json().as_array().unwrap().clone());
                let link = page.header(header::LINK);
                next = link.strip_prefix('<').and_then(|link| Some(link.split_once('>')?.0.to_owned()));
            }
            assert_eq!(serde_json::Value::Array(rows), whole, "{path} by {limit}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rollups_of_a_counter_add_up_to_its_increments() {
    let site = Fixture::new();
    let path = "/api/v1/rollups?pilot=p-1&asset=press&name=electricity&window=hour";
    let rows = site.get(path).await.ok().json();
    let sum: f64 = rows.as_array().unwrap().iter().filter_map(|row| row["value"].as_f64()).sum();
    assert!((sum - 4.5).abs() < 1e-9, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_named_with_what_would_be_right() {
    let site = Fixture::new();
    let rollups = "/api/v1/rollups?pilot=p-1&asset=press&name=electricity";
    for (path, status, parameter) in [
        (format!("{METER}&form=2025"), 400, "form"),
        (format!("{METER}&from=yesterday"), 400, "from"),
        (format!("{METER}&from=2025-03-02T00:00:00Z&to=2025-03-01T00:00:00Z"), 400, "to"),
        (format!("{METER}&limit=0"), 400, "limit"),
        (format!("{METER}&cursor=x"), 400, "cursor"),
        ("/api/v1/readings?asset=press&name=electricity".to_owned(), 400, "pilot"),
        ("/api/v1/readings?pilot=p-1&asset=press".to_owned(), 400, "name"),
        ("/api/v1/readings?pilot=p-1&asset=press&name=none".to_owned(), 404, "name"),
        ("/api/v1/readings?pilot=p-9&asset=press&name=electricity".to_owned(), 404, "pilot"),
        (format!("{rollups}&window=week"), 400, "window"),
        (format!("{rollups}&by=colour"), 400, "by"),
        ("/api/v1/figures?scope=planet:earth".to_owned(), 400, "scope"),
        ("/api/v1/figures?scope=pilot:p-9".to_owned(), 404, "scope"),
        ("/api/v1/figures?scope=region:atlantis".to_owned(), 404, "scope"),
        ("/api/v1/figures?indicator=profit".to_owned(), 400, "indicator"),
        ("/api/v1/figures?period=2020-13".to_owned(), 400, "period"),
        ("/api/v1/figures?as_of=2999-01-01T00:00:00Z".to_owned(), 400, "as_of"),
        ("/api/v1/figures?version=0".to_owned(), 400, "version"),
        ("/api/v1/figures?version=1&as_of=2020-01-01T00:00:00Z".to_owned(), 400, "version"),
        ("/api/v1/versions".to_owned(), 400, "scope"),
        ("/api/v1/versions?scope=pilot:p-9".to_owned(), 404, "scope"),
        ("/api/v1/rejections?reason=mood".to_owned(), 400, "reason"),
        ("/api/v1/status?x=1".to_owned(), 400, "x"),
    ] {
        let answer = site.get(&path).await;
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/problem+json", "{path}: {}", answer.body);
        let problem = answer.json();
        assert_eq!((answer.status.as_u16(), problem["parameter"].as_str()), (status, Some(parameter)), "{path}");
        assert_eq!(problem["status"].as_u64(), Some(u64::from(status)));
    }
    let window = site.get(&format!("{rollups}&window=week")).await;
    insta::assert_snapshot!(window.body, @r#"{"type":"about:blank","title":"Bad Request","status":400,"parameter":"window","detail":"`window` must be quarter, hour, day, month or year"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_figure_opens_into_what_it_is_made_from() {
    let site = Fixture::new();
    let evidence = site.get("/api/v1/evidence?scope=pilot:p-1&indicator=defect_rate&period=2025").await.ok().json();
    assert_eq!(evidence["figure"]["indicator"], "defect_rate");
    assert_eq!(evidence["plan"][0]["what"], "indicator");
    assert_eq!(evidence["plan"][1]["what"], "baseline_period");
    let plan = evidence["figure"]["plan"].as_str().unwrap();
    let page = site.get("/figure?scope=pilot:p-1&indicator=defect_rate&period=2025&lang=zh").await.ok();
    assert!(
        page.body.contains(plan) && page.body.contains("事先确定的内容") && page.body.contains("&lt;script&gt;"),
        "{}",
        page.body
    );
    for path in ["/api/v1/evidence", "/figure"] {
        let missing = site.get(&format!("{path}?scope=pilot:p-1&period=2025")).await;
        assert_eq!((missing.status, missing.body.contains("`indicator` is missing")), (StatusCode::BAD_REQUEST, true));
        let unknown = site.get(&format!("{path}?scope=pilot:p-9&indicator=defect_rate&period=2025")).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_scope_without_data_answers_one_insufficient_figure() {
    let site = Fixture::new();
    for scope in ["pilot:p-2", "region:yili", "programme", "class:promotion"] {
        let path = format!("/api/v1/figures?scope={scope}&indicator=operating_cost&period=2020");
        let figures = site.get(&path).await.ok().json();
        assert_eq!(figures.as_array().map(Vec::len), Some(1), "{scope}: {figures}");
        assert_eq!((&figures[0]["state"], &figures[0]["scope"]), (&"insufficient".into(), &scope.into()));
        assert!(figures[0]["reduction"].is_null());
    }
    let figures = site.get("/api/v1/figures?scope=pilot:p-2&indicator=operating_cost&period=2020").await.ok().json();
    let path = figures[0]["stages"][0]["path"].as_f64().unwrap();
    assert!((path - 0.2).abs() < 1e-9, "the glide path does not wait for data: {path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_figure_is_not_sent_again() {
    let site = Fixture::new();
    let path = "/api/v1/figures?scope=pilot:p-1";
    let first = site.get(path).await.ok();
    let tag = first.header(header::ETAG).to_owned();
    let again = site.ask(Gate::Open, path, &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(again.header(header::ETAG), tag);
    let other = site.ask(Gate::Open, path, &[(header::IF_NONE_MATCH, "\"other\"")]).await;
    assert_eq!(other.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_all_scopes_page_like_they_stream() {
    let site = Fixture::new();
    let whole = site.get("/api/v1/figures?indicator=defect_rate&period=2020").await.ok().json();
    let first = site.get("/api/v1/figures?indicator=defect_rate&period=2020&limit=5").await.ok();
    assert_eq!(first.json().as_array().unwrap().len(), 5);
    assert!(first.header(header::LINK).contains("cursor=5"), "{}", first.header(header::LINK));
    let scopes = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|figure| figure["scope"].to_string()).collect()
    };
    assert_eq!(scopes(&first.json()), scopes(&whole)[..5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_adds_up_and_names_the_missing_messages() {
    let site = Fixture::new();
    let status = site.get("/api/v1/status").await.ok().json();
    assert_eq!((&status["received"], &status["committed"], &status["duplicate"]), (&3.into(), &2.into(), &0.into()));
    assert_eq!(status["rejected"]["bad_json"], 1);
    assert_eq!(status["rejected"].as_object().unwrap().len(), Reason::ALL.len());
    assert_eq!(status["refused"]["wrong_unit"], 1);
    assert_eq!(status["lag"], serde_json::json!({"commits": 0, "seconds": 0.0}));
    let gap = serde_json::json!([{"pilot": "p-1", "gateway": "gw", "gaps": 1, "missing": 3}]);
    assert_eq!(status["gaps"], gap);
    assert_eq!(status["versions"]["tzdb"].as_str().map(str::len), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejections_and_conflicts_are_listed_with_all_they_carry() {
    let site = Fixture::new();
    let rejections = site.get("/api/v1/rejections?since=2020-01-01T00:00:00Z").await.ok().json();
    let row = &rejections[0];
    assert_eq!((&row["reason"], &row["refused"], &row["times"]), (&"wrong_unit".into(), &"parts".into(), &1.into()));
    assert_eq!((&row["reasons"][0]["part"], &row["reasons"][0]["index"]), (&"reading".into(), &3.into()));
    assert_eq!(row["bytes"], "eyJhIjoxfQ==");
    assert_eq!(site.get("/api/v1/rejections?since=2100-01-01T00:00:00Z").await.ok().json(), serde_json::json!([]));
    let conflicts = site.get("/api/v1/conflicts?pilot=p-1").await.ok().json();
    assert_eq!((&conflicts[0]["stands"]["value"], &conflicts[0]["lost"]["value"]), (&3.into(), &2.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_but_liveness_and_operations_answers() {
    let site = Fixture::new();
    for path in
        ["/", "/pilots/p-1", "/readyz", "/metrics/pilots", "/api/v1/status", "/api/v1/pilots", METER, "/nowhere"]
    {
        let answer = site.ask(Gate::Tokens, path, &[]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.headers.get_all(header::WWW_AUTHENTICATE).iter().count(), 2);
    }
    for path in ["/healthz", "/metrics"] {
        site.ask(Gate::Tokens, path, &[]).await.ok();
    }
    let token = site.token("programme");
    site.ask_with(&token, "/api/v1/status").await.ok();
    let basic = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("me:{token}"));
    site.ask(Gate::Tokens, "/", &[(header::AUTHORIZATION, &format!("Basic {basic}"))]).await.ok();
    // One token in sixty-four ends in an x already.
    let other = if token.ends_with('x') { 'y' } else { 'x' };
    let mistyped = format!("{}{other}", &token[..token.len() - 1]);
    assert_eq!(site.ask_with(&mistyped, "/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_foreign_and_what_is_missing_answer_the_same_bytes() {
    let site = Fixture::new();
    for scope in ["pilot:p-2", "region:kashi"] {
        let token = site.token(scope);
        for (foreign, missing) in [
            ("/pilots/p-1", "/pilots/p-9"),
            ("/api/v1/pilots/p-1/series", "/api/v1/pilots/p-9/series"),
            (METER, "/api/v1/readings?pilot=p-9&asset=press&name=electricity"),
            ("/api/v1/figures?scope=pilot:p-1", "/api/v1/figures?scope=pilot:p-9"),
            ("/api/v1/figures?scope=region:hami", "/api/v1/figures?scope=region:atlantis"),
            ("/api/v1/figures?scope=programme", "/api/v1/figures?scope=class:none"),
            ("/api/v1/rejections?pilot=p-1", "/api/v1/rejections?pilot=p-9"),
            ("/api/v1/conflicts?pilot=p-1", "/api/v1/conflicts?pilot=p-9"),
            ("/api/v1/imports?pilot=p-1", "/api/v1/imports?pilot=p-9"),
            ("/metrics/pilots?pilot=p-1", "/metrics/pilots?pilot=p-9"),
            ("/?scope=region:hami", "/?scope=region:atlantis"),
            (
                "/api/v1/evidence?scope=pilot:p-1&indicator=defect_rate&period=2025",
                "/api/v1/evidence?scope=pilot:p-9&indicator=defect_rate&period=2025",
            ),
            (
                "/figure?scope=pilot:p-1&indicator=defect_rate&period=2025",
                "/figure?scope=pilot:p-9&indicator=defect_rate&period=2025",
            ),
        ] {
            let (foreign, missing) = (site.ask_with(&token, foreign).await, site.ask_with(&token, missing).await);
            assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{scope}: {}", foreign.body);
            assert_eq!(foreign, missing, "{scope}");
        }
        for path in ["/api/v1/pilots", "/api/v1/rejections", "/api/v1/conflicts", "/api/v1/status", "/metrics/pilots"] {
            let answer = site.ask_with(&token, path).await.ok();
            assert!(!answer.body.contains("p-1"), "{scope} {path}: {}", answer.body);
        }
        let figures = site.ask_with(&token, "/api/v1/figures?period=2020").await.ok().json();
        let foreign = |figure: &&serde_json::Value| {
            !["pilot:p-2", "region:kashi"].contains(&figure["scope"].as_str().unwrap_or_default())
        };
        assert_eq!(figures.as_array().unwrap().iter().find(foreign), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_hostile_names_as_text_and_allows_its_own_style_only() {
    let site = Fixture::new();
    for path in ["/?lang=en", "/pilots/p-1?lang=en", "/?lang=zh&period=2020", "/pilots/p-1?lang=zh&period=2020-Q3"] {
        let page = site.get(path).await.ok();
        assert!(!page.body.contains("<script"), "{path}");
        assert!(page.body.contains("&lt;script&gt;"), "{path}");
        assert!(!page.body.contains(" style=") && !page.body.contains("javascript:"), "{path}");
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }
    let zh = site.ask(Gate::Open, "/", &[(header::ACCEPT_LANGUAGE, "zh-CN,zh;q=0.9")]).await.ok();
    assert!(zh.body.contains("<html lang=\"zh-Hans\">"));
    assert_eq!(site.get("/?lang=fr").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loading_page_refreshes_itself_until_all_is_in() {
    let mut site = Fixture::new();
    let progress = Arc::new(super::Progress::default());
    progress.total.store(10, Ordering::Relaxed);
    Arc::get_mut(&mut site.site).unwrap().progress = Some(Arc::clone(&progress));
    assert!(site.get("/").await.ok().body.contains("http-equiv=\"refresh\""));
    progress.done.store(10, Ordering::Relaxed);
    assert!(!site.get("/").await.ok().body.contains("http-equiv=\"refresh\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_what_is_not() {
    let mut site = Fixture::new();
    site.get("/readyz").await.ok();
    let full = super::Health { disk_full: true, ..super::Health::default() };
    Arc::get_mut(&mut site.site).unwrap().health = Arc::new(move || full.clone());
    let answer = site.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["reasons"][0], "the disk is full: nothing new is acknowledged until there is room");
    site.get("/healthz").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_metrics_pages_name_registered_pilots_or_none() {
    let site = Fixture::new();
    let operations = site.get("/metrics").await.ok();
    assert!(!operations.body.contains("p-1") && operations.body.contains("pilotline_ingest_missing_messages 3"));
    let pilots = site.get("/metrics/pilots?pilot=p-1").await.ok();
    assert!(pilots.body.contains("pilotline_last_reading_timestamp_seconds{pilot=\"p-1\"}"), "{}", pilots.body);
    super::metrics::check_with_promtool(&operations.body);
    super::metrics::check_with_promtool(&pilots.body);
}

#[tokio::test]
async fn what_was_published_is_answered_as_it_was() {
    let site = Fixture::new();
    let before = site.get("/api/v1/figures?scope=pilot:p-1&indicator=defect_rate&as_of=2020-01-01T00:00:00Z").await;
    assert_eq!(before.status, StatusCode::OK);
    let before = before.json();
    assert_eq!((&before[0]["state"], &before[0]["version"]), (&"insufficient".into(), &serde_json::Value::Null));
    assert_eq!(before[0]["findings"][0]["rule"], "not_published");
    assert_eq!(site.get("/api/v1/versions?scope=pilot:p-1").await.json(), serde_json::json!([]));
    let rules = crate::ledger::Rules::default();
    let now = model::clock::now();
    let published = site.site.aggregator.publish_at(now, rules, crate::ledger::Cause::Publish, None).unwrap();
    assert!(published.n_first > 0, "{published:?}");
    let versions = site.get("/api/v1/versions?scope=pilot:p-1&period=2025-03&indicator=energy_intensity").await.json();
    let one = &versions[0];
    assert_eq!((&one["version"], &one["cause"], &one["entry"]), (&1.into(), &"publish".into(), &1.into()));
    assert_eq!((&one["reasons"], &one["before"]), (&serde_json::json!([]), &serde_json::Value::Null));
    assert_eq!(one["cut_at"], now.to_string());
    let path = "/api/v1/figures?scope=pilot:p-1&indicator=energy_intensity&period=2025-03";
    let head = site.get(path).await.json();
    let versioned = site.get(&format!("{path}&version=1")).await;
    let as_of = site.get(&format!("{path}&as_of={}", now.0)).await;
    assert_eq!(versioned.body, as_of.body);
    assert_eq!(versioned.json()[0]["version"], 1);
    assert_eq!(head[0]["version"], 1);
    assert_eq!(head[0]["findings"], versioned.json()[0]["findings"]);
    let page = site.get("/pilots/p-1?period=2025-03&lang=en").await.body;
    assert!(page.contains(&format!("Version 1, published {}", &now.to_string()[..10])), "{page}");
    assert!(!page.contains("Restatements"));
    let foreign = site.token("pilot:p-2");
    assert_eq!(site.ask_with(&foreign, "/api/v1/versions?scope=pilot:p-1").await.status, StatusCode::NOT_FOUND);
}
