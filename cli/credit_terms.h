// What a user says about who may owe this node, and what its store and folder know about it.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/home.h"
#include "core/chain_file.h"
#include "core/credit_policy.h"
#include "ledger/store.h"

namespace tnode {

/// As in --line, --stranger-cap, --audit-above and --line-of KEY=CREDITS.
struct CreditWords { std::string line = "1000", stranger_cap = "1000", audit_above = "10"; std::vector<std::string> lines; };
/// `invalid`, naming the option and what it wants.
Result<CreditTerms> parse_credit_terms(const CreditWords& words);

/// --audit-above, in micro-credits.
Result<Micro> parse_audit_above(const CreditWords& words);

/// The terms of the farmer that ran last in this home, in its store: what `ledger trust` shows. Nothing when none did.
Bytes encode_credit_terms(const CreditTerms& terms);
std::optional<CreditTerms> kept_credit_terms(const Store& store);
inline constexpr const char* credit_terms_bucket = "credit_terms";

/// The policy as far as the own chain and the audited chains of others make it; what is promised by leases is the farmer's to add.
CreditPolicy credit_policy(const Store& store, const Home& home, CreditTerms terms);

/// What an audited chain says its key owes others, beside its bundles: rewritten by each audit, read by the farmer.
Result<void> keep_vouches(const Home& home, const ChainReport& report);
std::string vouches_path(const Home& home, const NodeKey& key);
/// Empty when the key was never audited.
std::map<NodeKey, Micro> vouches_of(const Home& home, const NodeKey& key);

/// No line or cap is larger: sums of them can be counted.
inline constexpr Micro max_line_micro = 1'000'000'000 * credit_micro;

}  // namespace tnode
