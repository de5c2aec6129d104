//! Recordings as JSON lines: one that names the router and has its state, then one for each step.

use std::fmt::Write as _;
use std::sync::Arc;

use lvs_vrrp::{Output, Router};
use serde::{Deserialize, Serialize};

use super::{Recording, Step};
use crate::vrrp::plan::Family;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    /// A recording begins.
    Recording {
        instance: String,
        family: Family,
        interface: String,
        from: Box<Router>,
    },
    /// A step of it.
    Step(std::borrow::Cow<'a, Step>),
}

/// A line that is no part of a recording.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not what this version writes.
    #[error("line {number}: {error}: must be a recording or a step as this version writes them")]
    Unreadable {
        /// Which line, from 1 on.
        number: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A step without a router.
    #[error("line {0}: a step before any recording: the first line must name a router")]
    Orphan(usize),
}

/// A router of today does something else than the recorded one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {step}: {input}: recorded {recorded:?}, now {now:?}")]
pub struct Divergence {
    /// Which step, from 0 on.
    pub step: usize,
    /// What went in.
    pub input: String,
    /// What came out.
    pub recorded: Vec<Output>,
    /// What comes out now.
    pub now: Vec<Output>,
}

impl Recording {
    /// As JSON lines.
    ///
    /// # Errors
    /// Never for what a router can go through.
    pub fn to_lines(&self) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        let head = Line::Recording {
            instance: self.instance.clone(),
            family: self.family,
            interface: self.interface.clone(),
            from: Box::new(self.from.clone()),
        };
        let steps = self.steps.iter();
        let steps = steps.map(|step| Line::Step(std::borrow::Cow::Borrowed(step)));
        for line in std::iter::once(head).chain(steps) {
            // Writing to a string never fails.
            let _ = writeln!(text, "{}", serde_json::to_string(&line)?);
        }
        Ok(text)
    }

    /// All recordings of a text of JSON lines.
    ///
    /// # Errors
    /// The first line that is no part of a recording.
    pub fn from_lines(text: &str) -> Result<Vec<Self>, LineError> {
        let mut recordings: Vec<Self> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let unreadable = |error| LineError::Unreadable { number, error };
            match serde_json::from_str(line).map_err(unreadable)? {
                Line::Recording {
                    instance,
                    family,
                    interface,
                    from,
                } => recordings.push(Self {
                    instance,
                    family,
                    interface,
                    from: *from,
                    steps: Vec::new(),
                }),
                Line::Step(step) => recordings
                    .last_mut()
                    .ok_or(LineError::Orphan(number))?
                    .steps
                    .push(Arc::new(step.into_owned())),
            }
        }
        Ok(recordings)
    }

    /// Has a router go through it again.
    ///
    /// # Errors
    /// The first step at which it does something else.
    pub fn replay(&self) -> Result<(), Divergence> {
        let mut router = self.from.clone();
        for (number, step) in self.steps.iter().enumerate() {
            let now = router.handle(step.input.clone(), step.at);
            if now != step.outputs {
                return Err(Divergence {
                    step: number,
                    input: format!("{:?}", step.input),
                    recorded: step.outputs.clone(),
                    now,
                });
            }
        }
        Ok(())
    }
}
