#include "cli/credit_terms.h"

#include "cli/bundle_disk.h"
#include "cli/ledger_command.h"
#include "cli/node.h"
#include "core/amount.h"

namespace tnode {
namespace {

Result<Micro> amount_of(const std::string& option, const std::string& text) {
  auto amount = parse_credits(text);
  if (!amount || *amount < 0 || *amount > max_line_micro) return fail(Code::invalid, option + " wants credits from 0 to " + format_credits(max_line_micro) + ", like 250, not '" + text + "'");
  return amount;
}

/// Lines of "KEY AMOUNT"; what else there is is passed over.
std::map<NodeKey, Micro> amounts_in(std::string_view text) {
  std::map<NodeKey, Micro> amounts;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.size() < 66 || line[64] != ' ') continue;
    auto key = from_hex(line.substr(0, 64));
    const Micro amount = std::strtoll(std::string(line.substr(65)).c_str(), nullptr, 10);
    if (key && amount >= 0) amounts[*NodeKey::from_bytes(*key)] = amount;
  }
  return amounts;
}

std::string text_of(const std::map<NodeKey, Micro>& amounts) {
  std::string text;
  for (const auto& [key, amount] : amounts) text += to_hex(key) + " " + std::to_string(amount) + "\n";
  return text;
}

}  // namespace

Result<CreditTerms> parse_credit_terms(const CreditWords& words) {
  CreditTerms terms;
  auto line = amount_of("--line", words.line), cap = amount_of("--stranger-cap", words.stranger_cap);
  if (!line) return line.error();
  if (!cap) return cap.error();
  terms.line_micro = *line;
  terms.stranger_cap_micro = *cap;
  for (const std::string& word : words.lines) {
    const auto equals = word.find('=');
    auto key = equals == std::string::npos ? Result<NodeKey>(fail(Code::invalid, "--line-of wants KEY=CREDITS, not '" + word + "'")) : parse_node_key(word.substr(0, equals));
    if (!key) return key.error();
    auto amount = amount_of("--line-of " + word.substr(0, 12) + "…", word.substr(equals + 1));
    if (!amount) return amount.error();
    terms.lines[*key] = *amount;
  }
  return terms;
}

Result<Micro> parse_audit_above(const CreditWords& words) { return amount_of("--audit-above", words.audit_above); }

Bytes encode_credit_terms(const CreditTerms& terms) { return std::to_string(terms.line_micro) + " " + std::to_string(terms.stranger_cap_micro) + "\n" + text_of(terms.lines); }

std::optional<CreditTerms> kept_credit_terms(const Store& store) {
  auto text = store.get(credit_terms_bucket, "farm");
  if (!text) return std::nullopt;
  CreditTerms terms;
  char* end = nullptr;
  terms.line_micro = std::strtoll(text->c_str(), &end, 10);
  terms.stranger_cap_micro = std::strtoll(end, nullptr, 10);
  terms.lines = amounts_in(std::string_view(*text).substr(std::min(text->size(), text->find('\n') + 1)));
  return terms;
}

CreditPolicy credit_policy(const Store& store, const Home& home, CreditTerms terms) {
  CreditPolicy policy(std::move(terms));
  // A CREDIT whose award was never taken here is a gift: whoever pays unasked takes no part of what strangers may owe.
  scan_own(store, [&](const Block& block) { policy.book(block, block.type != BlockType::credit || task_of(store, block).has_value()); });
  for (const NodeKey& key : policy.vouchers()) policy.vouch(key, vouches_of(home, key));
  return policy;
}

std::string vouches_path(const Home& home, const NodeKey& key) { return home.dir() + "/chains/" + to_hex(key) + ".owes"; }

Result<void> keep_vouches(const Home& home, const ChainReport& report) { return write_file_atomically(vouches_path(home, report.key()), text_of(owed_by(report))); }

std::map<NodeKey, Micro> vouches_of(const Home& home, const NodeKey& key) {
  auto text = read_file(vouches_path(home, key));
  return text ? amounts_in(*text) : std::map<NodeKey, Micro>{};
}

}  // namespace tnode
