// `tnode ledger adopt`: the way out when nobody is left who could know. It ends a doubt by decree, and says what that may cost.
#include "cli/commands.h"
#include "cli/durable_file.h"
#include "cli/home.h"
#include "cli/node.h"
#include "cli/output.h"
#include "cli/restored.h"

namespace tnode {

int run_ledger_adopt(const GlobalOptions& global, bool sure) {
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  auto key = home->existing_key();
  if (!key) return fail_with(key.error());
  auto own = open_own_store(*home, *key, wall_clock_ms());
  if (!own) return fail_with(own.error());
  Store& store = *own->store;
  const Balance balance = store.balance();
  if (store.doubt() == Store::Doubt::none) return fail_with(fail(Code::refused, "nothing is in doubt: the chain of this home has " + std::to_string(balance.blocks) + " blocks, and it signs"));
  const ChainMark& known = own->mark->chain;
  const std::string state = "this home's chain is in doubt: " + own->mark->why + ". " + std::to_string(balance.blocks) + " blocks are here, " + std::to_string(std::max(known.blocks, balance.blocks)) + " were signed at least";
  if (balance.blocks < known.blocks) return fail_with(fail(Code::refused, state + ". Signing now would sign block " + std::to_string(balance.blocks) + " a second time, which is fraud for certain; it is not done"));
  const Output output(global);
  if (!sure) {
    (void)fail_with(fail(Code::refused, state));
    for (const std::string& line : {
             std::string("If this key has signed ONE block more than that, anywhere, at any time, then its next block is a proof of fraud:"),
             std::string("every node that sees both refuses this key FOR EVER, its balance is lost, and nothing can mend it."),
             "Let `" + home->command("farm") + "` ask the swarm first; wait for the nodes that you dealt with; look for an export of the chain.",
             "Only if you KNOW that nothing was signed since: `" + home->command("ledger adopt --even-if-this-ruins-my-key") + "`"})
      output.line("       " + line);
    return exit_usage;
  }
  if (auto trusted = store.trust(wall_clock_ms()); !trusted) return fail_with(trusted.error());
  for (const std::string& path : {home->restored_path(), home->unused_key_path()})
    if (auto removed = remove_durably(path); !removed) return fail_with(removed.error());
  const Balance after = store.balance();
  output.answer(Json{{"key", to_hex(key->key())}, {"blocks", after.blocks}, {"head", to_hex(after.head)}},
                        "key       " + to_hex(key->key()) + "\nblocks    " + std::to_string(after.blocks) + "; it signs on from here, by your word alone\n", to_hex(after.head));
  return exit_done;
}

}  // namespace tnode
