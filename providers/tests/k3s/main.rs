//! The boot script itself, run by a shell in a folder that stands for the machine, against a small
//! HTTP server that stands for storage, metadata service and download site.

#[cfg(test)]
mod grant;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod site;
#[cfg(test)]
mod token;

/// Says that a test cannot run here, which must not happen where everything it needs is promised.
#[cfg(test)]
fn skipped(needs: &str) {
    println!("skipped: needs {needs}");
    let required = std::env::var_os("KPLAN_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(!required, "{needs} is missing, and KPLAN_TEST_REQUIRE is 1");
}
