//! What K3s's Helm controller and Argo CD are given to read, held against their real definitions.

use crate::definitions::{definitions, fits_its_definition};
use crate::upstream::{access, argocd_args, upstream};
use kplan_model::{BoxFuture, ProviderError};
use kplan_providers::artifacts::{ArtifactRef, ArtifactSource, pinned};
use kplan_providers::kubernetes::{
    Applied, Argocd, BundleKind, HelmRelease, HelmReleaseArgs, manifest,
};

/// The example's sets of Applications: ours to show, Argo CD's to read.
#[tokio::test]
async fn the_application_sets_of_the_example_fit_argo_cds_definition() {
    let Some(upstream) = upstream() else { return };
    let args = argocd_args(&upstream, "install.yaml", None);
    let installed = Argocd::objects(&args, &upstream.source).await.unwrap();
    let definition = definitions(&installed)["ApplicationSet"];
    for environment in ["staging", "production"] {
        let file = format!("examples/environments/repository/clusters/{environment}/apps.yaml");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(&file);
        let objects = manifest::parse(&file, &std::fs::read(path).unwrap()).unwrap();
        assert_eq!(objects.len(), 1);
        fits_its_definition(&objects[0], definition);
    }
}

/// K3s's own definition of charts is of a newer controller than the one in K3s 1.35, whose choices
/// after a failure are fewer.
#[tokio::test]
async fn a_chart_fits_the_definition_of_k3ss_controller() {
    let (Some(_), Some(folder)) = (upstream(), std::env::var_os("KPLAN_TEST_UPSTREAM")) else {
        return;
    };
    let file = "helm-controller/v0.17.7/helm.cattle.io_helmcharts.yaml";
    let text = std::fs::read(std::path::Path::new(&folder).join(file)).unwrap();
    let definition = manifest::parse(file, &text).unwrap();
    let archive = ArtifactRef {
        component: "addon-app".to_owned(),
        version: "1.2.3".to_owned(),
        file: "app-1.2.3.tgz".to_owned(),
        url: String::new(),
        sha256: None,
    };
    let (artifacts, sources) = pinned(vec![archive]);
    let args = HelmReleaseArgs {
        access: access(),
        objects: Applied,
        artifacts,
        sources: Some(sources),
        name: "app".to_owned(),
        namespace: "apps".to_owned(),
        values: Some("a: 1".to_owned()),
    };
    let objects = HelmRelease::objects(&args, &Gzip).await.unwrap();
    assert_eq!(objects.len(), 1);
    fits_its_definition(&objects[0], &definition[0]);
    let policy = &objects[0]["spec"]["failurePolicy"];
    assert!(policy == "abort" || policy == "reinstall", "{policy}");
}

/// Whatever is asked for is an archive.
struct Gzip;

impl ArtifactSource for Gzip {
    fn bytes<'a>(
        &'a self,
        _: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<bytes::Bytes, ProviderError>> {
        Box::pin(async { Ok(bytes::Bytes::from_static(&[0x1f, 0x8b, 8])) })
    }

    fn digest<'a>(&'a self, _: &'a ArtifactRef) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async { Ok("0".repeat(64)) })
    }
}
