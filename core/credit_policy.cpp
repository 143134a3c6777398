#include "core/credit_policy.h"

#include <algorithm>
#include <limits>

#include "core/amount.h"
#include "core/half_life.h"

namespace tnode {
namespace {

constexpr Micro boundless = std::numeric_limits<Micro>::max();

/// A sum of what is owed stops at what can be counted: nobody may owe so much.
Micro bounded_add(Micro a, Micro b) { return checked_add(a, b).value_or(b > 0 ? boundless : std::numeric_limits<Micro>::min()); }
Micro positive(Micro amount) { return std::max<Micro>(0, amount); }

}  // namespace

std::string why(const Standing& s) {
  std::string text = "this key may owe us " + format_credits(s.room_micro) + " credits more; it did work worth " + format_credits(s.worked_micro) + " for us and had " + format_credits(s.taken_micro) + " done";
  if (s.unpaid_micro > 0) text += ", " + format_credits(s.unpaid_micro) + " of it never paid";
  if (s.promised_micro > 0) text += ", " + format_credits(s.promised_micro) + " are promised";
  if (!s.vouchers.empty()) text += ", " + std::to_string(s.vouchers.size()) + " who worked for us owe it for work";
  if (s.named) return text + ", its line here is " + format_credits(s.line_micro);
  return text + ", strangers owe us " + format_credits(s.strangers_micro) + " of at most " + format_credits(s.stranger_cap_micro) + " together. Work for us, or for those who do";
}

// --- what is known ---

Micro CreditPolicy::Account::debt_at(TimeMs now) const { return faded(debt, now - faded_ms, write_off_half_life_ms); }

/// What comes late, about a time that is over, has faded since then too.
void CreditPolicy::Account::add(Micro worked_more, Micro taken_more, TimeMs when) {
  const Micro before = positive(-net);
  worked = bounded_add(worked, worked_more);
  taken = bounded_add(taken, taken_more);
  net = bounded_add(net, bounded_add(worked_more, -taken_more));
  const Micro more = positive(-net) - before;
  const TimeMs at = std::max(faded_ms, when);
  debt = positive(bounded_add(debt_at(at), more > 0 ? faded(more, at - when, write_off_half_life_ms) : more));
  faded_ms = at;
}

bool CreditPolicy::book(const Block& own, bool for_work) {
  if (own.type != BlockType::debit && own.type != BlockType::credit) return false;
  if (booked_seq_ && own.seq <= *booked_seq_) return false;
  booked_seq_ = own.seq;
  if (own.type == BlockType::credit && !for_work) return true;
  change(own.counterparty, [&](Account& account) {
    if (own.type == BlockType::debit) account.add(own.amount, 0, own.time_ms);
    else account.add(0, own.amount, own.time_ms);
  });
  return true;
}

void CreditPolicy::unpaid(const AwardId& award, const NodeKey& key, Micro amount, TimeMs since) {
  if (auto before = unpaid_.find(award); before != unpaid_.end()) {
    change(before->second.key, [&](Account& account) {
      account.add(0, -before->second.amount, since);
      account.unpaid -= before->second.amount;
    });
    unpaid_.erase(before);
  }
  if (amount <= 0) return;
  change(key, [&](Account& account) {
    account.add(0, amount, since);
    account.unpaid = bounded_add(account.unpaid, amount);
  });
  unpaid_[award] = {key, amount};
}

Micro CreditPolicy::unpaid(const AwardId& award, const NodeKey& key) const {
  auto found = unpaid_.find(award);
  return found == unpaid_.end() || found->second.key != key ? 0 : found->second.amount;
}

void CreditPolicy::promise(const AwardId& award, const NodeKey& key, Micro amount) {
  end_promise(award);
  promises_[award] = {key, amount};
  change(key, [&](Account& account) { account.promised = bounded_add(account.promised, amount); });
}

Micro CreditPolicy::promised(const NodeKey& key) const {
  auto account = accounts_.find(key);
  return account == accounts_.end() ? 0 : account->second.promised;
}

Micro CreditPolicy::promised_for(const AwardId& award) const {
  auto promise = promises_.find(award);
  return promise == promises_.end() ? 0 : promise->second.second;
}

void CreditPolicy::end_promise(const AwardId& award) {
  auto it = promises_.find(award);
  if (it == promises_.end()) return;
  change(it->second.first, [&](Account& account) { account.promised -= it->second.second; });
  promises_.erase(it);
}

void CreditPolicy::vouch(const NodeKey& voucher, std::map<NodeKey, Micro> owed) {
  auto before = vouches_.find(voucher);
  if (before == vouches_.end() && (owed.empty() || vouches_.size() >= most_vouchers)) return;
  sums_.reset();
  if (before != vouches_.end()) {
    for (const auto& [key, amount] : before->second)
      if (auto& by = vouched_by_[key]; by.erase(voucher) && by.empty()) vouched_by_.erase(key);
    vouches_.erase(before);
  }
  std::erase_if(owed, [&](const auto& entry) { return entry.second <= 0 || entry.first == voucher; });
  if (owed.size() > most_vouched_by_one) {
    std::vector<std::pair<Micro, NodeKey>> largest;
    for (const auto& [key, amount] : owed) largest.emplace_back(amount, key);
    std::sort(largest.rbegin(), largest.rend());
    for (std::size_t i = most_vouched_by_one; i < largest.size(); ++i) owed.erase(largest[i].second);
  }
  for (const auto& [key, amount] : owed) vouched_by_[key].insert(voucher);
  if (!owed.empty()) vouches_[voucher] = std::move(owed);
}

std::set<NodeKey> CreditPolicy::keys() const {
  std::set<NodeKey> all;
  for (const auto& [key, account] : accounts_) all.insert(key);
  for (const auto& [key, line] : terms_.lines) all.insert(key);
  return all;
}

std::vector<NodeKey> CreditPolicy::vouchers() const {
  std::vector<std::pair<Micro, NodeKey>> claims;
  for (const auto& [key, account] : accounts_)
    if (account.net > 0) claims.emplace_back(account.net, key);
  std::sort(claims.begin(), claims.end(), [](const auto& a, const auto& b) { return a.first > b.first || (a.first == b.first && a.second < b.second); });
  if (claims.size() > most_vouchers) claims.resize(most_vouchers);
  std::vector<NodeKey> keys;
  for (const auto& [claim, key] : claims) keys.push_back(key);
  return keys;
}

// --- what follows from it ---

Micro CreditPolicy::line_of(const NodeKey& key) const {
  auto own = terms_.lines.find(key);
  return own == terms_.lines.end() ? terms_.line_micro : own->second;
}

/// What it earned here and has not had done, or been promised, yet.
Micro CreditPolicy::claim_left(const NodeKey& key) const {
  auto account = accounts_.find(key);
  return account == accounts_.end() ? 0 : positive(account->second.net - account->second.promised);
}

/// What it owes and was promised. Only what strangers owe is ever written off: whoever has a line or is vouched for leans on something that
/// would be lent a second time.
Micro CreditPolicy::before_line(const NodeKey& key, const Account& account, TimeMs now) const {
  const bool kept = terms_.lines.count(key) || vouched_for(key);
  const Micro debt = account.net >= 0 || kept ? -account.net : account.debt_at(now);
  // On the work of a voucher others lean too: what it had done itself stands beside theirs and not before it.
  return positive(bounded_add(bounded_add(debt, account.promised), vouches_.count(key) ? account.worked : 0));
}

/// What has to find a place elsewhere.
Micro CreditPolicy::demand(const NodeKey& key, const Account& account, TimeMs now) const {
  auto line = terms_.lines.find(key);
  return positive(before_line(key, account, now) - (line == terms_.lines.end() ? 0 : line->second));
}

void CreditPolicy::connect(Flow& flow, std::size_t debtor, const NodeKey& key) const {
  if (auto own = flow.supports.find(key); own != flow.supports.end()) flow.flow.connect(debtor, own->second, boundless);
  if (auto by = vouched_by_.find(key); by != vouched_by_.end())
    for (const NodeKey& voucher : by->second)
      if (auto support = flow.supports.find(voucher); support != flow.supports.end()) flow.flow.connect(debtor, support->second, vouches_.at(voucher).at(key));
  if (!terms_.lines.count(key)) flow.flow.connect(debtor, flow.pool, boundless);
}

void CreditPolicy::count(Sums& sums, const NodeKey& key, const Account& account, bool in) const {
  const Micro amount = demand(key, account, sums.now), more = in ? amount : -amount;
  if (vouched_for(key) || vouches_.count(key)) {
    if (in && amount > 0) sums.leaning[key] = amount;
    else sums.leaning.erase(key);
  } else {
    Micro& sum = terms_.lines.count(key) ? sums.beyond_lines : sums.strangers;
    sum = bounded_add(sum, more);
  }
}

template <class Change>
void CreditPolicy::change(const NodeKey& key, Change apply) {
  Account& account = accounts_[key];
  if (sums_) count(*sums_, key, account, false);
  apply(account);
  if (sums_) count(*sums_, key, account, true);
  flow_.reset();
}

const CreditPolicy::Sums& CreditPolicy::sums(TimeMs now) const {
  if (sums_ && now >= sums_->now && now < sums_->now + sums_kept_ms) return *sums_;
  flow_.reset();
  sums_.emplace();
  sums_->now = now;
  for (const auto& [key, account] : accounts_) count(*sums_, key, account, true);
  return *sums_;
}

const CreditPolicy::Flow& CreditPolicy::flow(TimeMs now) const {
  const Sums& all = sums(now);
  if (flow_) return *flow_;
  Flow& flow = flow_.emplace();
  for (const auto& [key, owes] : vouches_)
    if (auto account = accounts_.find(key); account != accounts_.end() && account->second.worked > 0) flow.supports[key] = flow.flow.add_support(account->second.worked);
  flow.pool = flow.flow.add_support(positive(terms_.stranger_cap_micro - all.strangers));
  flow.unplaced = bounded_add(all.beyond_lines, positive(all.strangers - terms_.stranger_cap_micro));
  for (const auto& [key, amount] : all.leaning) {
    const std::size_t debtor = flow.flow.add_debtor();
    flow.debtors[key] = debtor;
    connect(flow, debtor, key);
    flow.unplaced = bounded_add(flow.unplaced, amount - flow.flow.push(debtor, amount));
  }
  return flow;
}

Micro CreditPolicy::room_in(const Flow& flow, const NodeKey& key) const {
  const auto account = accounts_.find(key);
  const auto line = terms_.lines.find(key);
  const auto support = flow.supports.find(key);
  Micro of_line = 0;
  if (line != terms_.lines.end()) of_line = positive(line->second - (account == accounts_.end() ? 0 : before_line(key, account->second, sums_->now)));
  const Micro of_claim = support == flow.supports.end() ? claim_left(key) : account->second.worked - flow.flow.used(support->second);
  // What is shared is lent only while all that was lent has its place.
  if (flow.unplaced > 0) return bounded_add(of_line, of_claim);
  Flow changed = flow;
  std::size_t debtor = 0;
  if (auto known = changed.debtors.find(key); known != changed.debtors.end()) {
    debtor = known->second;
  } else {
    debtor = changed.flow.add_debtor();
    connect(changed, debtor, key);
  }
  const Micro found = changed.flow.push(debtor, boundless);  // of a voucher's own claim, too
  return bounded_add(of_line, support == flow.supports.end() ? bounded_add(of_claim, found) : found);
}

Micro CreditPolicy::room(const NodeKey& key, TimeMs now) const { return room_in(flow(now), key); }

Micro CreditPolicy::trusted_room(const NodeKey& key, TimeMs now) const {
  const Flow& all = flow(now);
  const Micro room = room_in(all, key);
  if (terms_.lines.count(key) || all.unplaced > 0) return room;
  return positive(room - (positive(terms_.stranger_cap_micro - sums_->strangers) - all.flow.used(all.pool)));
}

Standing CreditPolicy::standing(const NodeKey& key, TimeMs now) const {
  const Flow& all = flow(now);
  Standing s;
  auto line = terms_.lines.find(key);
  s.named = line != terms_.lines.end();
  if (s.named) s.line_micro = line->second;
  if (auto found = accounts_.find(key); found != accounts_.end()) {
    const Account& account = found->second;
    s.worked_micro = account.worked;
    s.taken_micro = account.taken;
    s.unpaid_micro = account.unpaid;
    s.promised_micro = account.promised;
    s.claim_micro = positive(account.net);
    if (account.net < 0) {
      s.debt_micro = s.named || vouched_for(key) ? -account.net : account.debt_at(now);
      s.written_off_micro = -account.net - s.debt_micro;
    }
  }
  if (auto by = vouched_by_.find(key); by != vouched_by_.end())
    for (const NodeKey& voucher : by->second)
      if (all.supports.count(voucher)) s.vouchers[voucher] = std::min(vouches_.at(voucher).at(key), claim_left(voucher));
  s.strangers_micro = bounded_add(sums_->strangers, all.flow.used(all.pool));
  s.stranger_cap_micro = terms_.stranger_cap_micro;
  s.room_micro = room_in(all, key);
  return s;
}

}  // namespace tnode
