//! Corrections over HTTP: who may make them, what is answered, and where they show.

use axum::http::{HeaderName, Method};
use store::{Change, Made, NewCorrection};

use super::*;
use crate::publish::corrections::{Mistake, NotCorrected};

/// Rows `{minute, value}` of the meter, whose first reading it knows; without a value void.
fn make(store: &Store, rows: &[serde_json::Value]) -> Result<Vec<Made>, NotCorrected> {
    let key = SeriesKey { pilot: pilot("p-1"), asset: "press".into(), name: "electricity".into(), product: None };
    let entry = store.entry(store.lookup(&key, &Registration::Registered).unwrap()).unwrap();
    let mut news = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(minute) = row["minute"].as_i64() else {
            let (field, detail) = ("at".to_owned(), "`at` is missing".to_owned());
            return Err(NotCorrected::Mistakes(vec![Mistake { index, field, detail }]));
        };
        let change = match row["value"].as_f64() {
            Some(value) => Change::Set { value: Value::from_f64(value), quality: Quality::Good },
            None => Change::Void,
        };
        let (author, reason) = ("Li".into(), HOSTILE.into());
        let (at, made_at) = (UnixMillis(START + minute * 60_000), UnixMillis(START + 86_400_000));
        news.push(NewCorrection { entry: entry.clone(), at, id: None, change, author, reason, made_at });
    }
    Ok(store.write(|tx| news.iter().map(|new| tx.correct(new)).collect::<Result<_, _>>()).unwrap())
}

fn correctable() -> Fixture {
    let mut fixture = Fixture::new();
    let store = Arc::clone(&fixture.site.store);
    let site = Arc::get_mut(&mut fixture.site).unwrap();
    site.correct = Arc::new(move |rows| make(&store, rows));
    fixture
}

const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
const CORRECTIONS: &str = "/api/v1/corrections";

async fn post(site: &Fixture, gate: Gate, headers: &[(HeaderName, &str)], body: &'static str) -> Answer {
    let mut request = Request::builder().method(Method::POST).uri(CORRECTIONS);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let service = router(Arc::clone(&site.site), gate);
    let response = service.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_reading_shows_what_was_sent_and_is_listed() {
    let site = correctable();
    let first = post(&site, Gate::Open, &[JSON], r#"{"minute":15,"value":101}"#).await;
    assert_eq!((first.status, &first.json()["number"]), (StatusCode::CREATED, &1.into()));
    let again = post(&site, Gate::Open, &[JSON], r#"{"minute":15,"value":101}"#).await;
    assert_eq!((again.status, again.body), (StatusCode::OK, first.body));
    let list = r#"[{"minute":0},{"minute":20,"value":100.75},{"minute":15,"value":100.625}]"#;
    let list = post(&site, Gate::Open, &[JSON], list).await;
    assert_eq!((list.status, list.json().as_array().unwrap().len()), (StatusCode::CREATED, 3));

    let rows = site.get(&format!("{METER}&to=2025-03-01T00:30:00Z")).await.ok();
    insta::assert_snapshot!(rows.body, @r#"
    [{"at":"2025-03-01T00:00:00.000Z","value":null,"quality":"bad","unit":"kWh","flags":["corrected","void"],"original":{"value":100,"quality":"good"}},
    {"at":"2025-03-01T00:15:00.000Z","value":100.625,"quality":"good","unit":"kWh","flags":["corrected"],"original":{"value":100.5,"quality":"good"}},
    {"at":"2025-03-01T00:20:00.000Z","value":100.75,"quality":"good","unit":"kWh","flags":["corrected"],"original":null}]
    "#);
    for limit in 1..3 {
        let page = site.get(&format!("{METER}&limit={limit}")).await.ok();
        assert!(page.body.starts_with(r#"[{"at":"2025-03-01T00:00:00.000Z","value":null"#), "{}", page.body);
    }
    let csv = site.ask(Gate::Open, METER, &[(header::ACCEPT, "text/csv")]).await.ok();
    let lines: Vec<&str> = csv.body.lines().skip(1).take(2).collect();
    assert_eq!(
        lines,
        [
            "2025-03-01T00:00:00.000Z,,bad,kWh,,corrected void,,,100,good",
            "2025-03-01T00:15:00.000Z,100.625,good,kWh,,corrected,,,100.5,good"
        ]
    );

    let listed = site.get(CORRECTIONS).await.ok();
    insta::assert_snapshot!(listed.body, @r#"
    [{"number":1,"made_at":"2025-03-02T00:00:00.000Z","author":"Li","reason":"<script>alert(1)</script>","pilot":"p-1","asset":"press","name":"electricity","at":"2025-03-01T00:15:00.000Z","action":"set","now":{"value":101,"quality":"good"},"was":{"value":100.5,"quality":"good"},"unit":"kWh","superseded_by":4},
    {"number":2,"made_at":"2025-03-02T00:00:00.000Z","author":"Li","reason":"<script>alert(1)</script>","pilot":"p-1","asset":"press","name":"electricity","at":"2025-03-01T00:00:00.000Z","action":"void","now":null,"was":{"value":100,"quality":"good"},"unit":"kWh","superseded_by":null},
    {"number":3,"made_at":"2025-03-02T00:00:00.000Z","author":"Li","reason":"<script>alert(1)</script>","pilot":"p-1","asset":"press","name":"electricity","at":"2025-03-01T00:20:00.000Z","action":"set","now":{"value":100.75,"quality":"good"},"was":null,"unit":"kWh","superseded_by":null},
    {"number":4,"made_at":"2025-03-02T00:00:00.000Z","author":"Li","reason":"<script>alert(1)</script>","pilot":"p-1","asset":"press","name":"electricity","at":"2025-03-01T00:15:00.000Z","action":"set","now":{"value":100.625,"quality":"good"},"was":{"value":101,"quality":"good"},"unit":"kWh","superseded_by":null}]
    "#);
    let of = |path: &str| format!("{CORRECTIONS}{path}");
    assert_eq!(site.get(&of("?pilot=p-2")).await.ok().body, "[]\n");
    assert_eq!(site.get(&of("?pilot=p-9")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get(&of("?since=2025-03-03T00:00:00Z")).await.ok().body, "[]\n");
    let page = site.get(&of("?pilot=p-1&limit=3")).await.ok();
    assert_eq!(page.header(header::LINK), "</api/v1/corrections?pilot=p-1&limit=3&cursor=3>; rel=\"next\"");
    assert_eq!(site.get(&of("?pilot=p-1&limit=3&cursor=3")).await.ok().json().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_corrects_and_no_page_does() {
    let site = correctable();
    let body = r#"{"minute":15,"value":101}"#;
    for (scope, status) in
        [("operator", StatusCode::CREATED), ("programme", StatusCode::FORBIDDEN), ("pilot:p-1", StatusCode::FORBIDDEN)]
    {
        let bearer = format!("Bearer {}", site.token(scope));
        let answer = post(&site, Gate::Tokens, &[JSON, (header::AUTHORIZATION, &bearer)], body).await;
        assert_eq!(answer.status, status, "{scope} {}", answer.body);
    }
    assert_eq!(post(&site, Gate::Tokens, &[JSON], body).await.status, StatusCode::UNAUTHORIZED);
    let of_page = post(&site, Gate::Open, &[JSON, (header::ORIGIN, "http://127.0.0.1:8080")], body).await;
    assert_eq!(of_page.status, StatusCode::FORBIDDEN);
    let form = post(&site, Gate::Open, &[(header::CONTENT_TYPE, "text/plain")], body).await;
    assert_eq!(form.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(site.get(CORRECTIONS).await.ok().json().as_array().unwrap().len(), 1);
    // Whom a pilot is hidden from, its corrections are, too.
    let kashi = site.token("region:kashi");
    assert_eq!(site.ask_with(&kashi, CORRECTIONS).await.ok().body, "[]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_names_its_field_and_its_place() {
    let site = correctable();
    let answer = post(&site, Gate::Open, &[JSON], r#"[{"minute":15,"value":101},{}]"#).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    insta::assert_snapshot!(answer.body, @r#"{"type":"about:blank","title":"Bad Request","status":400,"parameter":"at","detail":"correction 2: `at` is missing; none was made","errors":[{"index":1,"field":"at","detail":"`at` is missing"}]}"#);
    let answer = post(&site, Gate::Open, &[JSON], "{").await;
    assert_eq!((answer.status, &answer.json()["parameter"]), (StatusCode::BAD_REQUEST, &"body".into()));
    assert_eq!(site.get(CORRECTIONS).await.ok().body, "[]\n");
    let nobody = Fixture::new();
    let answer = post(&nobody, Gate::Open, &[JSON], "{}").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pilots_page_has_them_only_if_there_are_any() {
    let site = correctable();
    let page = site.get("/pilots/p-1?lang=zh").await.ok().body;
    assert!(!page.contains("id=\"corrections\""));
    post(&site, Gate::Open, &[JSON], r#"[{"minute":15,"value":101},{"minute":0}]"#).await;
    for (lang, words) in [("zh", ["数据更正", "作废", "全部 2 条"]), ("en", ["Corrections", "void", "All 2 as JSON"])]
    {
        let page = site.get(&format!("/pilots/p-1?lang={lang}")).await.ok().body;
        assert!(words.iter().all(|word| page.contains(word)), "{lang}");
        assert!(page.contains("100.5 kWh") && page.contains("101 kWh") && page.contains("Li"));
        assert!(!page.contains(HOSTILE), "a reason is text, not markup");
    }
    assert!(!site.get("/pilots/p-2?lang=zh").await.ok().body.contains("id=\"corrections\""));
}
