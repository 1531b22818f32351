//! The paths, the gate in front of them, and the headers that every answer carries.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, middleware};
use maud::Markup;
use model::{Period, PilotId, Scope, clock};
use store::StoreError;

use super::access::{self, Gate, Viewer};
use super::pages::{self, Lang};
use super::problem::Problem;
use super::query::Params;
use super::{Site, api, gateways, metrics, snapshot};

/// What a request passes on to its handler.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) site: Arc<Site>,
    gate: Gate,
}

/// The site as a service, behind `gate`.
pub fn router(site: Arc<Site>, gate: Gate) -> Router {
    let served = Served { site, gate };
    let gated = Router::new()
        .merge(api::routes())
        .route("/", get(programme_page))
        .route("/pilots/{pilot}", get(pilot_page))
        .route("/figure", get(figure_page))
        .route("/gateways", get(gateways_page))
        .route("/readyz", get(api::readyz))
        .route("/metrics/pilots", get(metrics::pilots))
        .fallback(async || not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path answers GET and HEAD only; only /api/v1/corrections takes POST",
            )
            .into_response()
        })
        .layer(from_fn_with_state(served.clone(), admit));
    Router::new()
        .route("/healthz", get(api::healthz))
        .route("/metrics", get(metrics::operations))
        .merge(gated)
        .layer(from_fn(with_headers))
        .with_state(served)
}

fn not_found() -> Response {
    let detail = "there is nothing here; the pages are /, /pilots/ID, /figure and /gateways, the API is /api/v1/{status, pilots, \
                  readings, rollups, figures, evidence, versions, orders, rejections, conflicts, corrections, gateways, imports, projections}";
    Problem::new(StatusCode::NOT_FOUND, detail).into_response()
}

/// Finds out who asks; without a valid token nothing but 401 leaves.
async fn admit(State(served): State<Served>, mut request: Request, next: Next) -> Response {
    let viewer = match served.gate {
        Gate::Open => Some(Viewer::of_loopback()),
        Gate::Tokens => match viewer_of(&served.site, request.headers()).await {
            Ok(viewer) => viewer,
            Err(problem) => return problem.into_response(),
        },
    };
    let Some(viewer) = viewer else { return access::unauthorized() };
    request.extensions_mut().insert(viewer);
    next.run(request).await
}

async fn viewer_of(site: &Arc<Site>, headers: &HeaderMap) -> Result<Option<Viewer>, Problem> {
    let Some(token) = access::presented(headers) else { return Ok(None) };
    // Read anew each time, so that a revoked token ends at once.
    let tokens = blocking(site, |site| site.store.tokens()).await?;
    Ok(access::viewer(&token, &tokens, clock::now()))
}

async fn with_headers(request: Request, next: middleware::Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// Runs a store call on a blocking thread, at most [`super::STORE_CALLS_MAX`] at once.
pub(crate) async fn blocking<T: Send + 'static>(
    site: &Arc<Site>,
    call: impl FnOnce(&Site) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    // Safe because the semaphore is never closed.
    let _permit = site.state.store_calls.acquire().await.expect("an open semaphore");
    let owned = Arc::clone(site);
    match tokio::task::spawn_blocking(move || call(&owned)).await {
        Ok(result) => result.map_err(|error| Problem::store(&error)),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "request not answered: a defect in the program");
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "a defect in the program; the log of the server says more",
            ))
        }
    }
}

/// Which language, period, scope and pilot a page is asked in.
struct Asked {
    lang: Lang,
    period: Option<Period>,
    scope: Option<Scope>,
    pilot: Option<PilotId>,
}

fn asked(uri: &Uri, headers: &HeaderMap, known: &[&str]) -> Result<Asked, Problem> {
    let params = Params::read(uri, known)?;
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let wrong = || Problem::parameter("lang", "`lang` must be `en` or `zh`");
    let lang = Lang::choose(params.get("lang"), accepted).ok_or_else(wrong)?;
    let read_period = |text| Period::parse(text).map_err(|error| Problem::parameter("period", error.to_string()));
    let period = params.get("period").map(read_period).transpose()?;
    let scope = params.get("scope").map(api::read_scope).transpose()?;
    Ok(Asked { lang, period, scope, pilot: params.pilot()? })
}

async fn programme_page(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = match asked(&uri, &headers, &["lang", "period", "scope"]) {
        Ok(asked) => asked,
        Err(problem) => return problem_page(&uri, &headers, &problem),
    };
    let scope = asked.scope.clone().unwrap_or_else(|| viewer.home());
    if let Scope::Pilot(pilot) = &scope {
        return Redirect::temporary(&format!("/pilots/{pilot}?lang={}", asked.lang.code())).into_response();
    }
    let now = clock::now();
    let made = blocking(&served.site, move |site| {
        let view = snapshot::programme(site, &viewer, &scope, asked.period, now)?;
        Ok(view.map(|view| (view, site.loading(now))))
    });
    let made = made.await;
    let found = made.and_then(|view| view.ok_or_else(|| Problem::not_found("scope", api::NO_SCOPE)));
    match found {
        Ok((view, loading)) => html(pages::programme_page(&view, loading, asked.lang), StatusCode::OK, asked.lang),
        Err(problem) => problem_page(&uri, &headers, &problem),
    }
}

async fn pilot_page(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    Path(pilot): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = match asked(&uri, &headers, &["lang", "period"]) {
        Ok(asked) => asked,
        Err(problem) => return problem_page(&uri, &headers, &problem),
    };
    // What is no id is no pilot: the same page as for one that does not exist.
    let Ok(pilot) = PilotId::parse(&pilot) else {
        return problem_page(&uri, &headers, &Problem::not_found("pilot", api::NO_PILOT));
    };
    let now = clock::now();
    let made = blocking(&served.site, move |site| {
        let view = snapshot::pilot(site, &viewer, &pilot, asked.period, now)?;
        Ok(view.map(|view| (view, site.loading(now))))
    });
    let made = made.await;
    let found = made.and_then(|view| view.ok_or_else(|| Problem::not_found("pilot", api::NO_PILOT)));
    match found {
        Ok((view, loading)) => html(pages::pilot_page(&view, loading, asked.lang), StatusCode::OK, asked.lang),
        Err(problem) => problem_page(&uri, &headers, &problem),
    }
}

async fn figure_page(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    const KNOWN: [&str; 4] = ["lang", "scope", "indicator", "period"];
    let read = || {
        let asked = asked(&uri, &headers, &KNOWN)?;
        Ok((asked.lang, api::named(&Params::read(&uri, &KNOWN)?)?))
    };
    let (lang, (scope, indicator, period)) = match read() {
        Ok(read) => read,
        Err(problem) => return problem_page(&uri, &headers, &problem),
    };
    let made =
        blocking(&served.site, move |site| snapshot::figure(site, &viewer, (&scope, &indicator, period), clock::now()));
    match made.await.and_then(|view| view.ok_or_else(|| Problem::not_found("scope", api::NO_SCOPE))) {
        Ok(view) => html(pages::figure_page(&view, lang), StatusCode::OK, lang),
        Err(problem) => problem_page(&uri, &headers, &problem),
    }
}

async fn gateways_page(
    State(served): State<Served>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Asked { lang, pilot, .. } = match asked(&uri, &headers, &["lang", "pilot"]) {
        Ok(asked) => asked,
        Err(problem) => return problem_page(&uri, &headers, &problem),
    };
    let read = move |site: &Site| gateways::read(site, &viewer, pilot.as_ref(), clock::now());
    let found = blocking(&served.site, read).await;
    match found.and_then(|view| view.ok_or_else(|| Problem::not_found("pilot", api::NO_PILOT))) {
        Ok(view) => html(pages::gateways_page(&view, lang), StatusCode::OK, lang),
        Err(problem) => problem_page(&uri, &headers, &problem),
    }
}

fn problem_page(uri: &Uri, headers: &HeaderMap, problem: &Problem) -> Response {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let asked = Params::read(uri, &["lang", "period", "scope", "pilot"]).ok();
    let asked = asked.as_ref().and_then(|params| params.get("lang"));
    let lang = Lang::choose(asked, accepted).unwrap_or(Lang::En);
    html(pages::problem_page(lang, problem.status().as_u16(), problem.detail()), problem.status(), lang)
}

fn html(page: Markup, status: StatusCode, lang: Lang) -> Response {
    let mut response = (status, page.into_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(lang.code()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language, Authorization"));
    // Safe because the policy is a constant of printable ASCII and a base64 hash.
    let policy = HeaderValue::from_str(&pages::CONTENT_POLICY).expect("a policy in ASCII");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
