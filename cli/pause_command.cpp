// `tnode pause` and `tnode resume`: the owner of the machine wants it, or no longer. Asks the farmer that runs with this home.
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/output.h"

namespace tnode {

int run_pause(const GlobalOptions& global, bool paused) {
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  if (auto asked = ask_to_pause(*home, paused); !asked) return fail_with(asked.error());
  const std::string state = paused ? "paused" : "working";
  Output(global).answer(Json{{"state", state}}, paused ? "paused: what runs stands still until `tnode resume`\n" : "work goes on\n", state);
  return exit_done;
}

}  // namespace tnode
