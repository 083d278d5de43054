//! The machine against the picture in doc/architecture.md, case by case and at random.

use proptest::prelude::*;

use super::*;
use crate::registry::OperationKind;

const STATES: [State; 8] = [
    State::NotDownloaded,
    State::Downloading,
    State::Unloaded,
    State::Loading,
    State::Loaded,
    State::Unloading,
    State::Failed { complete: false },
    State::Failed { complete: true },
];

/// The kind of operation that runs in `state`.
fn running(state: State) -> Option<OperationKind> {
    match state {
        State::Downloading => Some(OperationKind::Download),
        State::Loading => Some(OperationKind::Load),
        State::Unloading => Some(OperationKind::Unload),
        State::NotDownloaded | State::Unloaded | State::Loaded | State::Failed { .. } => None,
    }
}

fn kind(ask: Ask) -> OperationKind {
    match ask {
        Ask::Download { .. } => OperationKind::Download,
        Ask::Load => OperationKind::Load,
        Ask::Unload => OperationKind::Unload,
    }
}

fn asks() -> [Ask; 4] {
    [
        Ask::Download { again: false },
        Ask::Download { again: true },
        Ask::Load,
        Ask::Unload,
    ]
}

fn ended(state: State, ending: Ending, complete: bool) -> Step {
    state.step(Input::Ended { ending, complete })
}

#[test]
fn work_of_one_kind_is_joined_and_of_another_kind_refused() {
    for state in STATES {
        let Some(at_work) = running(state) else { continue };
        for ask in asks() {
            let expected = if kind(ask) == at_work {
                Step::Join
            } else {
                Step::Refuse(Refusal::Conflict)
            };
            assert_eq!(state.step(Input::Ask(ask)), expected, "{state:?} asked for {ask:?}");
        }
    }
}

#[test]
fn cancel_and_refusal_lead_back_to_where_the_files_say() {
    for (complete, rest) in [(false, State::NotDownloaded), (true, State::Unloaded)] {
        assert_eq!(ended(State::Downloading, Ending::Stopped, complete), Step::Become(rest));
        assert_eq!(ended(State::Loading, Ending::Stopped, complete), Step::Become(rest));
    }
}

#[test]
fn an_unload_that_is_given_up_leaves_the_model_loaded() {
    assert_eq!(
        ended(State::Unloading, Ending::Stopped, true),
        Step::Become(State::Loaded)
    );
}

#[test]
fn a_fault_in_any_work_is_a_failed_model() {
    for state in [State::Downloading, State::Loading, State::Unloading] {
        for complete in [false, true] {
            assert_eq!(
                ended(state, Ending::Fault, complete),
                Step::Become(State::Failed { complete })
            );
        }
    }
}

#[test]
fn a_loaded_model_that_breaks_has_failed_and_what_is_not_loaded_cannot_break() {
    for state in STATES {
        for complete in [false, true] {
            let expected = if state == State::Loaded {
                Step::Become(State::Failed { complete })
            } else {
                Step::Stay
            };
            assert_eq!(state.step(Input::Broke { complete }), expected, "{state:?}");
        }
    }
}

#[test]
fn a_download_that_leaves_files_missing_has_failed() {
    assert_eq!(
        ended(State::Downloading, Ending::Done, false),
        Step::Become(State::Failed { complete: false })
    );
    assert_eq!(
        ended(State::Downloading, Ending::Done, true),
        Step::Become(State::Unloaded)
    );
}

#[test]
fn a_failed_model_may_be_downloaded_and_loaded_again() {
    let (empty, whole) = (State::Failed { complete: false }, State::Failed { complete: true });
    let download = Input::Ask(Ask::Download { again: false });
    assert_eq!(empty.step(download), Step::Begin(State::Downloading));
    assert_eq!(whole.step(download), Step::Begin(State::Downloading));
    assert_eq!(whole.step(Input::Ask(Ask::Load)), Step::Begin(State::Loading));
    assert_eq!(empty.step(Input::Ask(Ask::Load)), Step::Refuse(Refusal::NotDownloaded));
}

#[test]
fn files_of_a_loaded_model_are_not_fetched_again() {
    assert_eq!(
        State::Loaded.step(Input::Ask(Ask::Download { again: true })),
        Step::Refuse(Refusal::InUse)
    );
    assert_eq!(
        State::Loaded.step(Input::Ask(Ask::Download { again: false })),
        Step::Stay
    );
    assert_eq!(
        State::Unloaded.step(Input::Ask(Ask::Download { again: true })),
        Step::Begin(State::Downloading)
    );
}

#[test]
fn an_end_without_work_changes_nothing() {
    for state in STATES.into_iter().filter(|state| running(*state).is_none()) {
        for ending in [Ending::Done, Ending::Stopped, Ending::Fault] {
            assert_eq!(ended(state, ending, true), Step::Stay, "{state:?} after {ending:?}");
        }
    }
}

/// What a life looks like from outside: which files are there, whether it serves from memory, what runs.
#[derive(Debug)]
struct Life {
    state: State,
    complete: bool,
    serves: bool,
    at_work: Option<OperationKind>,
}

fn input() -> impl Strategy<Value = Input> {
    let ask = prop_oneof![
        any::<bool>().prop_map(|again| Ask::Download { again }),
        Just(Ask::Load),
        Just(Ask::Unload)
    ];
    let ending = prop_oneof![Just(Ending::Done), Just(Ending::Stopped), Just(Ending::Fault)];
    prop_oneof![
        4 => ask.prop_map(Input::Ask),
        4 => (ending, any::<bool>()).prop_map(|(ending, complete)| Input::Ended { ending, complete }),
        1 => any::<bool>().prop_map(|complete| Input::Files { complete }),
        1 => any::<bool>().prop_map(|complete| Input::Broke { complete }),
    ]
}

/// The arrows of the picture in doc/architecture.md, and back to `failed` from `failed` by a look at the files.
fn is_legal(from: RuntimeStatus, to: RuntimeStatus) -> bool {
    use RuntimeStatus::*;
    match from {
        NotDownloaded => matches!(to, Downloading | Unloaded),
        Downloading => matches!(to, Unloaded | NotDownloaded | Failed),
        Unloaded => matches!(to, Downloading | Loading | NotDownloaded),
        Loading => matches!(to, Loaded | Unloaded | NotDownloaded | Failed),
        Loaded => matches!(to, Unloading | Failed),
        Unloading => matches!(to, Unloaded | NotDownloaded | Loaded | Failed),
        Failed => matches!(to, Downloading | Loading | Failed),
    }
}

impl Life {
    fn live(&mut self, input: Input) {
        let before = self.state;
        match before.step(input) {
            Step::Begin(next) => {
                assert_eq!(self.at_work, None, "two operations at once: {before:?} after {input:?}");
                let Input::Ask(ask) = input else {
                    panic!("{input:?} began an operation")
                };
                self.at_work = Some(kind(ask));
                self.state = next;
            }
            Step::Become(next) => {
                match input {
                    Input::Ended { ending, complete } => {
                        let ended = self.at_work.take().expect("only work at hand ends");
                        self.complete = complete;
                        self.serves = match (ended, ending) {
                            (OperationKind::Load, Ending::Done) | (OperationKind::Unload, Ending::Stopped) => true,
                            (OperationKind::Download | OperationKind::Load | OperationKind::Unload, _) => false,
                        };
                    }
                    Input::Files { complete } => self.complete = complete,
                    Input::Broke { complete } => {
                        assert!(std::mem::take(&mut self.serves), "only a loaded model breaks");
                        self.complete = complete;
                    }
                    Input::Ask(_) => panic!("{input:?} changed the state without an operation"),
                }
                self.state = next;
            }
            Step::Join => assert!(matches!(input, Input::Ask(ask) if Some(kind(ask)) == self.at_work)),
            Step::Refuse(Refusal::Conflict) => {
                assert!(matches!(input, Input::Ask(ask) if self.at_work.is_some_and(|at_work| at_work != kind(ask))));
            }
            Step::Refuse(Refusal::NotDownloaded) => assert!(!self.complete && self.at_work.is_none()),
            Step::Refuse(Refusal::InUse) => assert!(self.serves && self.at_work.is_none()),
            Step::Stay => {}
        }
        let (from, to) = (before.runtime_status(), self.state.runtime_status());
        assert!(
            before == self.state || is_legal(from, to),
            "{from:?} became {to:?} after {input:?}"
        );
        self.check();
    }

    /// The state says the same as the files, what serves and the work at hand.
    fn check(&self) {
        assert_eq!(running(self.state), self.at_work, "{self:?}");
        match self.state {
            State::NotDownloaded => assert!(!self.complete && !self.serves, "{self:?}"),
            State::Unloaded => assert!(self.complete && !self.serves, "{self:?}"),
            State::Loaded | State::Unloading => assert!(self.serves, "{self:?}"),
            State::Failed { complete } => assert!(complete == self.complete && !self.serves, "{self:?}"),
            State::Downloading | State::Loading => assert!(!self.serves, "{self:?}"),
        }
    }
}

proptest! {
    #[test]
    fn every_life_is_legal_and_says_what_is_so(
        complete: bool,
        inputs in prop::collection::vec(input(), 0..60),
    ) {
        let mut life = Life { state: State::at_rest(complete), complete, serves: false, at_work: None };
        life.check();
        for input in inputs {
            life.live(input);
        }
    }
}
