// What a requester makes of its evidence about farmers: who is drawn, and whose answers may stand alone. See requester.h and reputation.h.
#include <algorithm>

#include "core/requester.h"

namespace tnode {

void Requester::know(const EvidenceRow& row) {
  Known& known = known_[row.key];
  known.rows[row.day] = row.evidence;
  known.figured_on = -1;
}

/// Counts here at once, for the next draw; the row that is kept comes back and has what other tasks saw, too.
void Requester::witness(const NodeKey& farmer, Sight sight, std::int64_t units) {
  Known& known = known_[farmer];
  known.rows[evidence_day(now_)].add(sight, units);
  known.figured_on = -1;
  emit(Witness{farmer, sight, units});
}

/// A vote is worth something as evidence when it could be compared with another's.
void Requester::witness_votes(const std::map<NodeKey, ResultId>& votes, const ResultId& accepted) {
  const auto alike = std::count_if(votes.begin(), votes.end(), [&](const auto& vote) { return vote.second == accepted; });
  for (const auto& [key, vote] : votes) witness(key, vote != accepted ? Sight::dissented : alike > 1 ? Sight::agreed : Sight::unchecked);
}

const Reputation& Requester::reputation(const NodeKey& farmer) {
  Known& known = known_[farmer];
  if (const EvidenceDay today = evidence_day(now_); known.figured_on != today) {
    known.reputation = reputation_of(known.rows, now_);
    known.figured_on = today;
  }
  return known.reputation;
}

/// How many replicas a unit begins with whose first one this farmer gets. Drawn from the offer's secret seed, after the farmer was: it cannot
/// know which of its units are checked, and by the time that it hears who else committed its own vote is given.
std::int64_t Requester::first_replicas(const NodeKey& farmer) {
  const Reputation& known = reputation(farmer);
  if (known.level != Level::proven) return offer_.agree;
  return static_cast<std::int64_t>(draw(1000)) < check_chance(known) ? offer_.agree : 1;
}

/// Farmers of doubtful record are asked when nobody else is left: each of their votes may call for two more.
bool Requester::others_may_take(const Unit& unit, const std::vector<NodeKey>& undoubted) {
  return std::any_of(undoubted.begin(), undoubted.end(), [&](const NodeKey& key) { return !unit.active.count(key) && !unit.votes.count(key); });
}

/// Who decided a unit alone does not hand it over: another is asked, and the quorum counts again.
void Requester::doubt(UnitNumber number) {
  Unit& unit = units_[number];
  const NodeKey farmer = unit.votes.begin()->first;
  witness(farmer, Sight::timed_out);
  note("doubted", {{"unit", std::to_string(number)}, {"farmer", to_hex(farmer)}});
  unit.state = UnitState::open;
  unit.accepted = {};
  unit.fetch_failures = 0;
  unit.want = offer_.agree;
  ++open_units_;
  unfetched_.erase(number);
  hungry_.insert(number);
}

/// Units whose last farmer was lost begin anew: the next one may be of no record.
void Requester::reopen(UnitNumber number) {
  Unit& unit = units_[number];
  if (unit.active.empty() && unit.votes.empty()) unit.want = offer_.agree;
  hungry_.insert(number);
}

}  // namespace tnode
