//! Why a step is in a plan, in words.

use crate::compose::leavings::{FINAL_BACKUP, is_last_look, is_preparation};
use kplan_model::{Action, ObjectCodec as _, Plan, Reason, Step};
use kplan_providers::kubernetes::object::Object;
use kplan_providers::kubernetes::wind_down::named;
use kplan_providers::kubernetes::{FinalBackupArgs, WindDownArgs};

/// What happens to the resource, to stand after its address.
pub(super) fn verb(plan: &Plan, step: &Step) -> String {
    let said = match (step.action, step.pair.and_then(|pair| plan.step(pair))) {
        (_, Some(_)) => match &step.reason {
            Reason::Tainted => "is tainted, so must be replaced",
            Reason::Requested => "will be replaced, as requested",
            _ => "must be replaced",
        },
        (Action::Create, None) => "will be created",
        (Action::Update, None) if step.only_waits() => "will be waited for",
        (Action::Update, None) => "will be updated in-place",
        (Action::Delete, None) if is_last_look(&step.address) => {
            "looks once more: nothing that the cluster made may be left"
        }
        (Action::Delete, None) if is_preparation(&step.address) => return preparation(step),
        (Action::Delete, None) => "will be destroyed",
        (Action::Forget, None) => "will no longer be managed by kplan, but will not be destroyed",
        (Action::Record, None) if step.meta.protect => "will be protected from destruction",
        (Action::Record, None) => "will no longer be protected from destruction",
        (Action::Operate, None) => return operation(step),
    };
    said.to_owned()
}

/// What is done before anything of a cluster goes, in words.
pub fn preparation(step: &Step) -> String {
    let args = step.before.as_ref().map(|record| &record.args);
    if step.address.kind().as_str() == FINAL_BACKUP {
        let args = args.and_then(|args| FinalBackupArgs::from_object(args).ok());
        return format!(
            "makes a last backup, {}; unless that is whole, nothing is destroyed",
            args.map(|args| args.name).unwrap_or_default()
        );
    }
    let Some(args) = args.and_then(|args| WindDownArgs::from_object(args).ok()) else {
        return String::new();
    };
    let deleted = args.deleted.iter().filter_map(|text| Object::parse(text));
    let deleted: Vec<String> = deleted.map(|object| named(&object)).collect();
    match (args.suspends, deleted.is_empty()) {
        (true, true) => "suspends Argo CD, so that it brings nothing again".to_owned(),
        (suspends, _) => format!(
            "{}deletes {}, and lets the cluster's own controllers take down what they made for them",
            if suspends { "suspends Argo CD, " } else { "" },
            deleted.join(", ")
        ),
    }
}

fn operation(step: &Step) -> String {
    let Some(operated) = step.operation else {
        return String::new();
    };
    let (name, doc) = (operated.name(), operated.doc());
    let before = match &step.reason {
        _ if operated.undone => String::new(),
        Reason::PoweredOff(parent) => format!(" before {parent} is powered off"),
        _ => " before it is destroyed".to_owned(),
    };
    format!("{doc}{before} ({name})")
}

/// Why, where the action alone does not say it.
pub(super) fn because(step: &Step) -> Option<String> {
    match &step.reason {
        // The delete says why.
        _ if step.operation.is_some_and(|operated| !operated.undone) => None,
        Reason::Declared
        | Reason::Changed
        | Reason::Tainted
        | Reason::Requested
        | Reason::PoweredOff(_)
        | Reason::DestroyRequested => None,
        Reason::CannotUpdate(fields) => Some(format!(
            "because {} cannot be changed on the living resource",
            fields.join(", ")
        )),
        Reason::ContainerReplaced(container) => Some(format!(
            "because {container}, which it lives in, is replaced"
        )),
        Reason::TooLate(content, why) => Some(format!(
            "because it would not take {content} any more: {why}"
        )),
        Reason::Spent(operation) => Some(format!(
            "because an earlier run began to prepare its end ({operation}), which cannot be undone"
        )),
        Reason::Failed(why) => Some(format!("because it failed while nobody watched: {why}")),
        Reason::Unfinished => {
            Some("because it was not ready when an earlier run was cut off".to_owned())
        }
        Reason::ParentDisrupted(parent) => Some(format!(
            "because {parent}, on which it runs, is interrupted; nothing after it begins before it works again"
        )),
        Reason::Kept
            if step
                .before
                .as_ref()
                .is_some_and(|it| it.operations.is_empty()) =>
        {
            Some("once it works again".to_owned())
        }
        Reason::Kept => Some(
            "because an earlier run prepared it for its end or for a power-off, and it stays"
                .to_owned(),
        ),
        Reason::Vanished => Some("because it is gone from the cloud".to_owned()),
        Reason::Deposed => {
            Some("because it is what an interrupted replacement left behind".to_owned())
        }
        Reason::NotInConfiguration => Some(format!("because {} is not in the file", step.address)),
        Reason::Released(why) => Some(format!("because {why}")),
        Reason::CountIndex => {
            let index = step.address.index().unwrap_or(0);
            Some(format!("because index [{index}] is out of range for count"))
        }
    }
}
