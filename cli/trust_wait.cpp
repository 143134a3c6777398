#include "cli/trust_wait.h"

#include <memory>

#include "cli/own_chain.h"

namespace tnode {
namespace {

constexpr TimeMs said_again_ms = 60'000, look_every_ms = 1'000;

/// Says what is waited for, when that changes and every now and then. Timers of the node may outlive the wait: they share this, and look whether it is over.
struct Waiter {
  Node& node;
  const Output& output;
  std::string said;
  TimeMs said_ms = 0;
  bool over = false, trusted = false;
};

void say(const std::shared_ptr<Waiter>& waiter) {
  if (waiter->over) return;
  const std::string waits = waiter->node.own_chain().waits_for();
  if (!waits.empty() && (waits != waiter->said || waiter->node.now() >= waiter->said_ms + said_again_ms)) {
    waiter->output.line("restored " + waits);
    waiter->output.event("restored", {{"waits_for", waits}, {"listen", waiter->node.swarm().listen_endpoint()}});
    waiter->said = waits;
    waiter->said_ms = waiter->node.now();
  }
  waiter->node.later(look_every_ms, [waiter] { say(waiter); });
}

}  // namespace

Result<void> wait_until_trusted(Node& node, Signals& signals, const Output& output) {
  if (!node.own_chain().in_doubt()) return {};
  auto waiter = std::make_shared<Waiter>(Waiter{node, output, {}});
  output.line("restored this node signs nothing until it is known that its chain is whole");
  signals.on_signal([&node](int) { node.post([&node] { node.leave(); }); });
  node.own_chain().on_trusted([waiter] {
    waiter->trusted = true;
    waiter->node.leave();
  });
  say(waiter);
  auto ran = node.run();
  waiter->over = true;
  signals.stop();
  if (!ran) return ran;
  if (!waiter->trusted) return fail(Code::refused, "interrupted; the next start goes on finding out whether this node's chain is whole");
  const auto blocks = node.store().blocks();
  output.line("restored its chain is whole: " + std::to_string(blocks) + " blocks; it goes on");
  output.event("trusted", {{"blocks", blocks}});
  return {};
}

}  // namespace tnode
