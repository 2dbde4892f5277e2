//! Every model, by its name.

use kafka_producer_loom::models::{completion, fair_memory};

macro_rules! models {
    ($($room:ident::$model:ident,)*) => {
        $(
            #[test]
            fn $model() {
                $room::$model();
            }
        )*
    };
}

models! {
    completion::waiter_and_value,
    completion::two_waiters_and_value,
    completion::waiter_that_gives_up_beside_another,
    completion::two_values,
    fair_memory::waiter_and_release,
    fair_memory::two_waiters_and_release,
    fair_memory::two_waiters_of_a_partition_and_release,
    fair_memory::waiter_for_any_partition_and_release,
    fair_memory::cancelled_waiter_and_release,
    fair_memory::waiter_and_close,
}
