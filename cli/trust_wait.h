// What `seed` and `farm` do first in a home whose chain is in doubt: nothing else.
#pragma once
#include "cli/node.h"
#include "cli/output.h"
#include "cli/signals.h"

namespace tnode {

/// Runs the node, without roles, until it may sign; says what it waits for. At once when nothing is in doubt. `refused` when interrupted.
Result<void> wait_until_trusted(Node& node, Signals& signals, const Output& output);

}  // namespace tnode
