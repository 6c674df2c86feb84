//! From a concrete path to the document's path template.

/// One path template, cut into segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) template: String,
    segments: Vec<Segment>,
}

/// Literal sorts before parameter: of two templates that fit, the one that is literal first wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
}

impl Route {
    /// Cuts a template; an error when a parameter is only part of a segment.
    pub(crate) fn parse(template: &str) -> Result<Route, String> {
        let segments = template
            .trim_start_matches('/')
            .split('/')
            .map(
                |segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                    Some(name) => Ok(Segment::Parameter(name.to_owned())),
                    None if segment.contains(['{', '}']) => Err(format!(
                        "the path {template} has a parameter that is only part of a segment"
                    )),
                    None => Ok(Segment::Literal(segment.to_owned())),
                },
            )
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Route {
            template: template.to_owned(),
            segments,
        })
    }

    /// The path parameters when `path` fits, still encoded.
    fn fit<'p>(&self, path: &'p str) -> Option<Vec<(&str, &'p str)>> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if parts.len() != self.segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (segment, part) in self.segments.iter().zip(parts) {
            match segment {
                Segment::Literal(literal) if literal == part => {}
                Segment::Parameter(name) if !part.is_empty() => {
                    parameters.push((name.as_str(), part));
                }
                _ => return None,
            }
        }
        Some(parameters)
    }

    fn shape(&self) -> Vec<bool> {
        self.segments
            .iter()
            .map(|s| matches!(s, Segment::Parameter(_)))
            .collect()
    }
}

/// A template that fits, with its parameters still percent-encoded.
pub(crate) type Match<'r, 'p> = (&'r Route, Vec<(&'r str, &'p str)>);

/// The template for `path`; the earlier a template is literal, the more it counts.
pub(crate) fn find<'r, 'p>(routes: &'r [Route], path: &'p str) -> Option<Match<'r, 'p>> {
    routes
        .iter()
        .filter_map(|route| Some((route, route.fit(path)?)))
        .min_by_key(|(route, _)| route.shape())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(templates: &[&str]) -> Vec<Route> {
        templates.iter().map(|t| Route::parse(t).unwrap()).collect()
    }

    #[test]
    fn literal_segments_win_over_parameters() {
        let routes = routes(&[
            "/v2/droplets/{id}",
            "/v2/droplets/autoscale",
            "/v2/{any}/autoscale",
        ]);
        let found = |path| find(&routes, path).map(|(route, _)| route.template.as_str());
        assert_eq!(
            found("/v2/droplets/autoscale"),
            Some("/v2/droplets/autoscale")
        );
        assert_eq!(found("/v2/droplets/17"), Some("/v2/droplets/{id}"));
        assert_eq!(found("/v2/pools/autoscale"), Some("/v2/{any}/autoscale"));
    }

    #[test]
    fn length_and_literals_must_agree() {
        let routes = routes(&["/v2/droplets/{id}"]);
        for path in [
            "/v2/droplets",
            "/v2/droplets/",
            "/v2/droplets/1/x",
            "/v1/droplets/1",
        ] {
            assert!(find(&routes, path).is_none(), "{path}");
        }
        let (_, parameters) = find(&routes, "/v2/droplets/a%3Ab").unwrap();
        assert_eq!(parameters, [("id", "a%3Ab")]);
    }

    #[test]
    fn half_a_segment_as_parameter_is_refused() {
        assert!(Route::parse("/v2/{id}.json").is_err());
    }
}
