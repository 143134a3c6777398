// What is left of an amount that halves every so often, in integers: old debts of strangers are written off so, and old evidence fades. Pure.
#pragma once
#include "core/types.h"

namespace tnode {

/// `amount` × 2^(−age / half_life), rounded up, for amounts that are not negative. Never more than `amount`; in two steps (nearly) what it is
/// in one, so that it does not pay to be looked at often.
std::int64_t faded(std::int64_t amount, TimeMs age_ms, TimeMs half_life_ms);

}  // namespace tnode
