//! What fuzzing asks of a pickle: that each of its objects answers every question.

use super::pickle::Pickle;
use super::pickle::Value;

/// Reads `bytes` as a pickle and asks its first objects for everything.
pub(crate) fn pickle(bytes: &[u8]) {
    let Ok(pickle) = Pickle::parse(bytes) else { return };
    let mut values = vec![pickle.root()];
    // Objects may hold each other, hence a number of questions and not the end of the objects ends the walk.
    for _ in 0..1000 {
        let Some(value) = values.pop() else { return };
        let scalars = (value.as_bool(), value.as_int(), value.as_float(), value.as_text());
        let _ = (
            scalars,
            value.is_none(),
            value.class(),
            value.kind(),
            value.get("state_dict"),
        );
        let _ = value.as_tensor();
        values.extend(value.items().into_iter().flatten());
        values.extend(value.entries().into_iter().flatten().flat_map(<[Value<'_>; 2]>::from));
        values.extend(value.arguments().into_iter().chain(value.state()));
        values.truncate(1000);
    }
}
