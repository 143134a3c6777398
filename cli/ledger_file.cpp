// `tnode ledger export|verify|import`: chains as files that anyone can check without this node's leave.
#include <filesystem>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/durable_file.h"
#include "cli/home.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "cli/restored.h"
#include "core/amount.h"
#include "core/chain_file.h"

namespace tnode {
namespace {

constexpr std::uintmax_t max_file_bytes = std::uintmax_t{1} << 30;  // three million blocks

Result<Bytes> read_blocks(const std::string& path) {
  std::error_code unknown;
  if (const auto size = std::filesystem::file_size(path, unknown); !unknown && size > max_file_bytes) return fail(Code::invalid, path + " is no file of blocks: it is too large");
  return read_file(path);
}

/// An earlier export of the same chain may be replaced, by one that has all of it. Anything else stays: a store, say, or an export that has
/// what a restored home has lost.
Result<void> may_replace(const std::string& path, std::string_view blocks) {
  auto there = read_blocks(path);
  if (!there && there.error().code == Code::not_found) return {};
  if (!there) return there.error();
  auto first = decode_block(std::string_view(*there).substr(0, block_bytes));
  const auto refused = [&](const std::string& why) { return fail(Code::exists, path + " " + why + "; it is not replaced, choose another name"); };
  if (!there->empty() && (!first || first->key.view() != decode_block(blocks.substr(0, block_bytes))->key.view())) return refused("is there already, and is no export of this chain");
  if (!blocks.starts_with(own_part(*there))) return refused("has blocks of this chain that are not here");
  return {};
}

Result<ChainReport> verify_blocks(const std::string& path, std::string_view bytes) {
  auto report = verify_chain_file(bytes);
  if (!report) return fail(report.error().code, path + " does not hold: " + report.error().message);
  return report;
}

std::string text_of(const ChainReport& r) {
  const Block& head = *r.chain.head();
  std::string text = "key       " + to_hex(r.key()) + "\nblocks    " + std::to_string(r.chain.blocks()) + ", all linked, signed and adding up\nhead      " + to_hex(block_id(head)) + "\nbalance   " +
                     format_credits(head.balance) + " credits, " + format_credits(head.held) + " of them held; line " + format_credits(r.chain.line_micro()) + "\n";
  text += "earned    " + format_credits(r.earned_micro) + " by " + std::to_string(r.credits) + " CREDITs; proved by the payers' DEBITs: " + std::to_string(r.credits_proved) + "\n";
  text += "paid      " + format_credits(r.paid_micro) + " by " + std::to_string(r.debits) + " DEBITs; receipts: " + std::to_string(r.debits_receipted) + "\n";
  if (r.unproved_micro != 0) text += "claimed   " + format_credits(r.unproved_micro) + " credits are booked without the DEBIT behind them\n";
  return text;
}

Json json_of(const ChainReport& r) {
  const Block& head = *r.chain.head();
  return Json{{"key", to_hex(r.key())}, {"blocks", r.chain.blocks()}, {"head", to_hex(block_id(head))}, {"signatures", r.signatures}, {"balance_micro", head.balance}, {"held_micro", head.held},
              {"line_micro", r.chain.line_micro()}, {"earned_micro", r.earned_micro}, {"paid_micro", r.paid_micro}, {"credits", r.credits}, {"credits_proved", r.credits_proved}, {"debits", r.debits},
              {"debits_receipted", r.debits_receipted}, {"unproved_micro", r.unproved_micro}, {"good", true}};
}

}  // namespace

int run_ledger_export(const GlobalOptions& global, const std::string& path) {
  auto ledger = open_ledger(global);
  if (!ledger) return fail_with(ledger.error());
  const Bytes blocks = ledger->store->export_chain();
  if (blocks.empty()) return fail_with(fail(Code::not_found, "there are no blocks here yet"));
  if (auto may = may_replace(path, blocks); !may) return fail_with(may.error());
  if (auto written = write_durably(path, blocks); !written) return fail_with(written.error());
  const auto own = ledger->store->balance().blocks, all = static_cast<std::uint64_t>(blocks.size() / block_bytes);
  Output(global).answer(Json{{"key", to_hex(ledger->own)}, {"file", path}, {"blocks", own}, {"halves", all - own}},
                        std::to_string(own) + " blocks and " + std::to_string(all - own) + " halves of others written to " + path + "\n", path);
  return exit_done;
}

int run_ledger_verify(const GlobalOptions& global, const std::string& path) {
  auto bytes = read_blocks(path);
  auto report = bytes ? verify_blocks(path, *bytes) : Result<ChainReport>(bytes.error());
  if (!report) return fail_with(report.error());
  Output(global).answer(json_of(*report), text_of(*report), to_hex(report->key()));
  return exit_done;
}

namespace {

/// What the own store has lost. It is not said that nothing came after it: nothing is signed before that is known.
int import_own(const GlobalOptions& global, const Home& home, Store& store, const ChainReport& report) {
  if (auto agrees = store.check_agrees(report); !agrees) return fail_with(agrees.error());
  const std::uint64_t before = store.balance().blocks;
  if (store.doubt() == Store::Doubt::none && report.chain.blocks() > before) {
    const Block& last = *report.chain.head();
    if (auto marked = write_restored_mark(home, {report.key(), {last.seq + 1, block_id(last), report.own.front()}, "an export has more blocks than the store"}); !marked) return fail_with(marked.error());
    store.distrust();
  }
  const bool doubted = store.doubt() != Store::Doubt::none;
  PutBack done;
  if (doubted) {
    if (auto begun = store.begin(); !begun) return fail_with(begun.error());
    auto put = put_back(store, report);
    Result<void> kept = put ? Result<void>() : put.error();
    for (std::size_t i = 0; kept && i < put->outbox.size(); ++i) kept = store.put(put->outbox[i].bucket, put->outbox[i].key, put->outbox[i].value);
    if (kept) kept = store.commit();
    if (!kept) return fail_with(kept.error());
    done = std::move(*put);
  }
  Json json = json_of(report);
  json["new_blocks"] = done.blocks;
  json["frauds_found"] = 0;
  json["restored"] = doubted;
  std::string text = text_of(report) + "kept      " + std::to_string(done.blocks) + " blocks of this node's own chain that were not here; it had " + std::to_string(before) + "\n";
  if (doubted) text += "          nothing is signed before it is known that no more were: `" + home.command("farm") + "` or the next `seed` finds out\n";
  Output(global).answer(json, text, to_hex(report.key()));
  return exit_done;
}

/// A file that does not hold, and proves of somebody why.
int import_proof(const GlobalOptions& global, Store& store, const Fraud& fraud, const Error& problem) {
  auto done = store.begin();
  if (done) done = store.keep_proof(fraud);
  if (done) done = store.commit();
  if (!done) return fail_with(done.error());
  (void)fail_with(problem);
  Json json{{"key", to_hex(fraud.key)}, {"new_blocks", 0}, {"frauds_found", store.take_newly_caught().size()}, {"good", false}};
  json.update(fraud_json(fraud));
  Output(global).answer(json, "key       " + to_hex(fraud.key) + "\n" + fraud_text(fraud), to_hex(fraud.key));
  return exit_error;
}

}  // namespace

int run_ledger_import(const GlobalOptions& global, const std::string& path) {
  auto bytes = read_blocks(path);
  if (!bytes) return fail_with(bytes.error());
  auto report = verify_blocks(path, *bytes);
  const auto fraud = report ? std::nullopt : find_fraud_in(*bytes);
  if (!report && !fraud) return fail_with(report.error());
  auto home = Home::find(global.home);
  if (!home) return fail_with(home.error());
  if (auto made = home->make(); !made) return fail_with(made.error());
  auto key = home->key();
  if (!key) return fail_with(key.error());
  auto own = open_own_store(*home, *key, wall_clock_ms());
  if (!own) return fail_with(own.error());
  const auto& store = own->store;
  if (fraud) return import_proof(global, *store, *fraud, report.error());
  if (report->key() == key->key()) return import_own(global, *home, *store, *report);
  auto done = store->begin();
  std::uint64_t fresh = 0;
  for (const Block& block : report->own) {
    if (!done) break;
    auto kept = store->keep_chain_block(block);
    // A contradiction is what an import is for: it is kept as a proof, and told below.
    if (!kept && kept.error().code != Code::invalid) done = kept.error();
    else if (kept) fresh += *kept;
  }
  if (done) done = store->commit();
  if (!done) return fail_with(done.error());
  const auto found = store->take_newly_caught().size();
  Json json = json_of(*report);
  json["new_blocks"] = fresh;
  json["frauds_found"] = found;
  std::string text = text_of(*report) + "kept      " + std::to_string(fresh) + " blocks that were not known here\n";
  if (found) text += "FRAUD     it contradicts what this node knows: " + store->fraud_of(report->key())->rule + "\n";
  Output(global).answer(json, text, to_hex(report->key()));
  return found ? exit_error : exit_done;
}

}  // namespace tnode
