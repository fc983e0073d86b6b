//! Requests to the REST API.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::register::Register;

/// Methods that are told apart: a caller may write what it likes.
const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// Classes of status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is counted of requests.
pub struct Api {
    register: Register,
    routes: RwLock<HashMap<&'static str, HashMap<String, Arc<Route>>>>,
    refusals: RwLock<HashMap<&'static str, Counter>>,
    in_flight: Gauge,
}

/// What is counted of one route under one method.
struct Route {
    classes: [Counter; CLASSES.len()],
    duration: Histogram,
    in_flight: Gauge,
}

/// A request under way.
pub struct UnderWay {
    route: Arc<Route>,
}

impl Api {
    pub(super) fn new(register: &Register) -> Self {
        let in_flight = register.gauge("tidings_api_requests_in_flight", "Requests to the API under way.", &[]);
        Self { register: register.clone(), routes: RwLock::default(), refusals: RwLock::default(), in_flight }
    }

    /// A request to a route begins; `None` where no route has its path.
    pub fn route(&self, method: &str, template: Option<&str>) -> UnderWay {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let template = template.unwrap_or("none");
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let route = known.get(method).and_then(|routes| routes.get(template)).map(Arc::clone);
        drop(known);
        let route = route.unwrap_or_else(|| self.learn(method, template));
        route.in_flight.increment(1);
        UnderWay { route }
    }

    fn learn(&self, method: &'static str, template: &str) -> Arc<Route> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let own = routes.entry(method).or_default().entry(template.to_owned());
        let route = own.or_insert_with(|| {
            let help = "Requests to the API, by route, method and class of status.";
            let counter = |class| {
                let labels = [("route", template), ("method", method), ("status", class)];
                self.register.counter("tidings_api_requests_total", help, &labels)
            };
            let help = "From a request's headers to its answer's.";
            let labels = [("route", template), ("method", method)];
            Arc::new(Route {
                classes: CLASSES.map(counter),
                duration: self.register.histogram("tidings_api_request_duration_seconds", help, &labels),
                in_flight: self.in_flight.clone(),
            })
        });
        Arc::clone(route)
    }

    /// Events were refused, with this code of a problem: all codes are words of the program.
    pub fn refused(&self, code: &'static str) {
        let known = self.refusals.read().unwrap_or_else(PoisonError::into_inner).get(code).cloned();
        let counter = known.unwrap_or_else(|| {
            let help = "Requests that reported events and were refused, by the problem's code.";
            let counter = self.register.counter("tidings_events_refused_total", help, &[("code", code)]);
            self.refusals.write().unwrap_or_else(PoisonError::into_inner).entry(code).or_insert(counter).clone()
        });
        counter.increment(1);
    }
}

impl UnderWay {
    /// The request was answered with a status after a time.
    pub fn answered(self, status: u16, took: Duration) {
        if let Some(class) = self.route.classes.get(usize::from(status / 100).wrapping_sub(1)) {
            class.increment(1);
        }
        self.route.duration.record(took);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.route.in_flight.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Meters;
    use super::*;

    #[test]
    fn whatever_callers_write_the_labels_stay_few() {
        let meters = Meters::default();
        for method in ["GET", "BREW", "get", "X".repeat(1_000).as_str()] {
            meters.api.route(method, None).answered(404, Duration::from_millis(1));
        }
        let text = meters.render();
        let line = "tidings_api_requests_total{route=\"none\",method=\"other\",status=\"4xx\"} 3";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("tidings_api_requests_in_flight 0"));
    }

    #[test]
    fn a_request_that_is_given_up_is_no_longer_under_way() {
        let meters = Meters::default();
        let under_way = meters.api.route("GET", Some("/v1/webhooks"));
        assert!(meters.render().contains("tidings_api_requests_in_flight 1"));
        drop(under_way);
        assert!(meters.render().contains("tidings_api_requests_in_flight 0"));
    }
}
