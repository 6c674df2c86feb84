//! Operations and the order of a plan: members of a group in their turns, what is drained no more
//! before others are drained, targets.

use super::{at, net, report, settled};
use crate::PlanOptions;
use crate::testing::{
    Build as _, Cloud, Dying, Lab, Life, decl, declare, plan_text, reference, string,
};
use kplan_model::{Declaration, Declarations, PlanMode, Status};

fn member(index: u32, image: &str) -> [Declaration; 2] {
    let host = format!("vm.s[{index}]");
    let machine = decl(&host)
        .with("name", string(&host))
        .with("net", reference("net.main", "id"))
        .with("image", string(image))
        .group("s", 2, 1);
    let agent = decl(&format!("agent.s[{index}]"))
        .with("name", string(&host))
        .with("host", reference(&host, "id"))
        .inside(&host)
        .group("s", 2, 1);
    [machine, agent]
}

/// Three servers, each with its image.
fn servers(images: [&str; 3]) -> Declarations {
    let members = (0..).zip(images).flat_map(|(at, image)| member(at, image));
    declare([net()].into_iter().chain(members))
}

fn apply() -> PlanOptions {
    PlanOptions::new(PlanMode::Apply)
}

async fn lab_with(images: [&str; 3]) -> Lab {
    let mut lab = Lab::new(Cloud::new());
    let report = report(&mut lab, &servers(images)).await;
    assert!(report.is_complete(), "{report:?}");
    lab
}

async fn planned(lab: &Lab, wanted: &Declarations, options: &PlanOptions) -> String {
    plan_text(&lab.plan(wanted, options).await.unwrap().plan)
}

fn place(text: &str, words: &str) -> usize {
    text.find(words)
        .unwrap_or_else(|| panic!("{words}:\n{text}"))
}

#[tokio::test(start_paused = true)]
async fn members_are_drained_in_their_turns() {
    let mut lab = lab_with(["old"; 3]).await;
    let text = planned(&lab, &servers(["new"; 3]), &apply()).await;
    for (earlier, later) in [(0, 1), (1, 2)] {
        let back = place(&text, &format!("+ agent.s[{earlier}]"));
        assert!(
            back < place(&text, &format!("! agent.s[{later}] drain")),
            "{text}"
        );
    }
    settled(&mut lab, &servers(["new"; 3])).await;
    assert_eq!(lab.cloud.drained(), Vec::new());
}

/// The first server was to go, and stays; the two others are to go. It takes pods again before
/// they are drained, and counts as ready although that is a step of its own.
#[tokio::test(start_paused = true)]
async fn what_stays_takes_work_again_before_others_are_drained() {
    let mut lab = lab_with(["new", "old", "old"]).await;
    let wanted = servers(["old"; 3]);
    let life = lab.live(&wanted, &apply(), Some(Dying::After(2))).await;
    assert!(matches!(life, Life::Died), "{life:?}");
    if let Some(record) = lab.journal.durable.resources.get_mut(&at("agent.s[0]")) {
        assert!(!record.operations.is_empty());
        record.status = Status::Unfinished;
    }
    let text = planned(&lab, &servers(["new"; 3]), &apply()).await;
    let filled = place(&text, "! agent.s[0] fill");
    assert!(filled < place(&text, "! agent.s[1] drain"), "{text}");
    settled(&mut lab, &servers(["new"; 3])).await;
    assert_eq!(lab.cloud.drained(), Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_target_is_drained_with_what_it_brings_and_nothing_else() {
    let lab = lab_with(["old"; 3]).await;
    let options = PlanOptions {
        targets: [at("vm.s[1]")].into(),
        ..apply()
    };
    let text = planned(&lab, &servers(["new"; 3]), &options).await;
    let drained = place(&text, "! agent.s[1] drain");
    assert!(drained < place(&text, "- vm.s[1]"), "{text}");
    assert!(!text.contains("s[0]") && !text.contains("s[2]"), "{text}");
}
