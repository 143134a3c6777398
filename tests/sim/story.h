// Messages and notes in a line each, for whoever follows a run with TNODE_SIM_TRACE=1.
#pragma once
#include <string>

#include "core/effects.h"

namespace tnode::sim {

std::string story_of(const Message& message);
std::string story_of(const Note& note);

}  // namespace tnode::sim
