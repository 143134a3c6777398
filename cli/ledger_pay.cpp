// `tnode ledger pay`: a payment outside of a task. The running node of this home makes it; without one, this process is a node for a
// moment. The DEBIT is durable first; the payee hears of it now, or when it is met.
#include <sys/random.h>

#include <thread>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "cli/own_chain.h"
#include "cli/quantities.h"
#include "cli/requester_role.h"
#include "cli/task_record.h"
#include "core/amount.h"

namespace tnode {
namespace {

constexpr TimeMs look_every_ms = 100;
constexpr TimeMs answer_wait_ms = 10'000;  // a node that runs takes a request within a second

/// What the store says of a payment.
struct Outcome { std::optional<Block> debit; std::string refused; bool receipt = false; };

Outcome look(const Store& store, const Payment& payment) {
  Outcome outcome;
  const Hash ref = payment_ref(payment);
  outcome.debit = store.debit_of(ref);
  if (outcome.debit) outcome.receipt = store.half_of(*outcome.debit).has_value();
  else outcome.refused = store.get(payment_refused_bucket, ref.view()).value_or("");
  return outcome;
}

int answer(const GlobalOptions& global, const Payment& payment, const Outcome& outcome) {
  if (!outcome.debit) return fail_with(fail(Code::credit, outcome.refused));
  const std::string id = to_hex(block_id(*outcome.debit));
  const std::string text = "paid      " + format_credits(payment.amount) + " credits to " + to_hex(payment.payee) + "\nblock     " + id + "\n" +
                           (outcome.receipt ? "receipt   came\n" : "receipt   not yet: the payee hears of it when it meets this node (`tnode farm` keeps it up)\n");
  Output(global).answer(Json{{"payee", to_hex(payment.payee)}, {"amount_micro", payment.amount}, {"block", id}, {"ref", to_hex(outcome.debit->ref)}, {"balance_micro", outcome.debit->balance}, {"receipt", outcome.receipt}}, text, id);
  return exit_done;
}

/// The node that runs does it; its store tells.
int pay_by_running_node(const GlobalOptions& global, const Home& home, const Payment& payment, TimeMs wait_ms) {
  if (auto asked = ask_to_pay(home, payment); !asked) return fail_with(asked.error());
  Outcome outcome;
  const TimeMs asked_ms = wall_clock_ms();
  for (;;) {
    auto store = open_store_for_reading(home);
    if (!store) return fail_with(store.error());
    outcome = look(**store, payment);
    const TimeMs waited = wall_clock_ms() - asked_ms;
    if (outcome.receipt || !outcome.refused.empty()) break;
    if (outcome.debit ? waited >= wait_ms : waited >= answer_wait_ms) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(look_every_ms));
  }
  if (!outcome.debit && outcome.refused.empty()) return fail_with(fail(Code::timeout, "the node that runs with this home did not answer; what it does later shows in `tnode ledger history`"));
  return answer(global, payment, outcome);
}

int pay_here(const GlobalOptions& global, Node& node, const Payment& payment, TimeMs wait_ms) {
  bool asked = false;
  TimeMs until_ms = 0;
  std::function<void()> turn = [&] {
    if (!asked) {
      asked = true;
      until_ms = node.now() + wait_ms;
      if (!node.pay(payment)) return node.leave();
    }
    if (look(node.store(), payment).receipt || node.now() >= until_ms) return node.leave();
    node.later(look_every_ms, turn);
  };
  node.post(turn);
  if (auto ran = node.run(); !ran) return fail_with(ran.error());
  return answer(global, payment, look(node.store(), payment));
}

}  // namespace

int run_ledger_pay(const GlobalOptions& global, const PayOptions& options) {
  auto usage = [](const Error& error) {
    (void)fail_with(error);
    return exit_usage;
  };
  auto payee = parse_node_key(options.key);
  if (!payee) return usage(payee.error());
  auto amount = parse_credits(options.amount);
  if (!amount) return usage(amount.error());
  if (*amount <= 0) return usage(fail(Code::invalid, "a payment is more than nothing"));
  auto wait_ms = parse_duration(options.wait);
  if (!wait_ms) return usage(wait_ms.error());
  auto swarm = swarm_options(global);
  if (!swarm) return usage(swarm.error());
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  if (auto made = home->make(); !made) return fail_with(made.error());
  auto key = home->key();
  if (!key) return fail_with(key.error());
  if (*payee == key->key()) return usage(fail(Code::invalid, "that is this node's own key"));
  Payment payment{key->key(), *payee, *amount, {}};
  if (getrandom(payment.nonce.bytes.data(), payment.nonce.bytes.size(), 0) != static_cast<ssize_t>(payment.nonce.bytes.size())) return fail_with(fail(Code::io, "no randomness for a payment's nonce"));
  if (Store::has_writer(home->store_path())) return pay_by_running_node(global, *home, payment, *wait_ms);
  auto node = Node::start({*home, *swarm}, nullptr);
  if (!node) return fail_with(node.error());
  if ((*node)->own_chain().in_doubt()) return fail_with(fail(Code::unavailable, "this home was restored, and nothing is signed until it is known that its chain is whole: let `" + home->command("farm --slots 0") + "` find that out first"));
  return pay_here(global, **node, payment, *wait_ms);
}

}  // namespace tnode
