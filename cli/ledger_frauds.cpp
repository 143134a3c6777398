// `tnode ledger frauds`: whom this node refuses, and why. The proofs need nobody's word: each is two or three blocks.
#include "cli/commands.h"
#include "cli/ledger_command.h"
#include "cli/node.h"

namespace tnode {

int run_ledger_frauds(const GlobalOptions& global) {
  auto ledger = open_ledger(global);
  if (!ledger) return fail_with(ledger.error());
  Json frauds = Json::array(), accusers = Json::array();
  std::string text, ids;
  for (const Fraud& fraud : ledger->store->frauds()) {
    Json json{{"key", to_hex(fraud.key)}};
    json.update(fraud_json(fraud));
    frauds.push_back(std::move(json));
    text += "key       " + to_hex(fraud.key) + "\n" + fraud_text(fraud);
    ids += (ids.empty() ? "" : "\n") + to_hex(fraud.key);
  }
  ledger->store->scan(false_proof_bucket, [&](std::string_view name, std::string_view why) {
    if (name.size() != 32) return;
    accusers.push_back(Json{{"key", to_hex(name)}, {"why", std::string(why)}});
    text += "key       " + to_hex(name) + "\naccused   it " + std::string(why) + "\n";
  });
  if (text.empty()) text = "nobody is refused\n";
  Output(global).answer(Json{{"frauds", frauds}, {"accusers", accusers}}, text, ids);
  return exit_done;
}

}  // namespace tnode
