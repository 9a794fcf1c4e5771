use coracle_history::{Fate, History, Operation};

/// Whether some order of these explains every answer: tries them all. Only for few.
pub(crate) fn has_order(history: &History) -> bool {
    let key = |operation: &Operation| operation.key.clone();
    let mut keys: Vec<_> = history.operations.iter().map(key).collect();
    keys.sort();
    keys.dedup();
    keys.iter().all(|key| {
        let of_key = |operation: &&Operation| operation.key == *key;
        let promises = |operation: &&Operation| {
            let reads = operation.action.only_reads() && operation.fate() == Fate::Unknown;
            !operation.action.is_stale() && !reads && operation.fate() != Fate::NotApplied
        };
        let all = history.operations.iter().filter(of_key).filter(promises);
        explains(&all.collect::<Vec<_>>(), None)
    })
}

fn explains(left: &[&Operation], value: Option<&str>) -> bool {
    let must = |operation: &&Operation| operation.returned().is_some();
    if !left.iter().any(must) {
        return true;
    }
    (0..left.len()).any(|next| {
        let operation = left[next];
        let late = |other: &&Operation| other.returned().is_some_and(|at| at < operation.invoked);
        if left.iter().any(late) {
            return false;
        }
        let results = operation.action.apply(value);
        let answered = operation.replies.first();
        if answered.is_some_and(|reply| reply.outcome != results.outcome) {
            return false;
        }
        let mut rest = left.to_vec();
        rest.remove(next);
        explains(&rest, results.value.as_deref())
    })
}
