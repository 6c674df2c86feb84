//! `Cancel`: how a signal handler tells a run to stop.

use tokio::sync::watch;

/// How urgently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Go on.
    #[default]
    None,
    /// Start nothing new; let calls in flight finish and record them.
    Soft,
    /// Record what is known, mark the rest in doubt, and end.
    Hard,
}

/// A stop button. Clones press the same button.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Sender<Level>);

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancel {
    /// A button nobody has pressed.
    pub fn new() -> Self {
        Self(watch::Sender::new(Level::None))
    }

    /// Presses it: once is [`Level::Soft`], twice is [`Level::Hard`].
    pub fn press(&self) {
        self.0.send_modify(|level| {
            *level = match level {
                Level::None => Level::Soft,
                Level::Soft | Level::Hard => Level::Hard,
            };
        });
    }

    /// How urgently it was pressed.
    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Waits until it is pressed.
    pub async fn pressed(&self) {
        self.harder_than(Level::None).await;
    }

    /// Waits until it is pressed harder than `known`.
    pub(super) async fn harder_than(&self, known: Level) -> Level {
        let mut receiver = self.0.subscribe();
        let level = receiver.wait_for(|level| *level > known).await;
        // The sender lives as long as `self`, so waiting cannot fail.
        match level.ok().map(|level| *level) {
            Some(level) => level,
            None => std::future::pending().await,
        }
    }
}
