#include "tests/sim/story.h"

namespace tnode::sim {

std::string story_of(const Message& message) {
  static constexpr const char* names[] = {"OFFER", "BID", "AWARD", "ACCEPT", "COMMIT", "COMMITSET", "REVEAL", "VERDICT", "CREDIT", "DONE", "MIRRORED", "CANCEL", "REFUSE", "ASK-CERTIFICATE", "CERTIFICATE"};
  std::string text = names[message.index()];
  auto units = [&](const auto& body) {
    text += " " + short_hex(body.award) + " units";
    for (const auto& [unit, rest] : body.units) text += " " + std::to_string(unit);
  };
  if (auto* award = std::get_if<AwardMessage>(&message)) {
    auto body = decode_award(award->award.body);
    text += " " + short_hex(body->award) + " units";
    for (UnitNumber unit : body->units) text += " " + std::to_string(unit);
  }
  if (auto* accept = std::get_if<AcceptMessage>(&message)) text += " " + short_hex(accept->accept.award);
  if (auto* commit = std::get_if<CommitMessage>(&message)) units(*decode_commit(commit->commit.body));
  if (auto* set = std::get_if<CommitSetMessage>(&message)) units(*decode_commit_set(set->commit_set.body));
  if (auto* reveal = std::get_if<RevealMessage>(&message)) units(*decode_reveal(reveal->reveal.body));
  if (auto* verdict = std::get_if<VerdictMessage>(&message)) units(*decode_verdict(verdict->verdict.body));
  if (auto* refuse = std::get_if<RefuseMessage>(&message)) text += " " + short_hex(refuse->refuse.about) + " " + refuse->refuse.reason + " " + refuse->refuse.detail;
  return text;
}

std::string story_of(const Note& note) {
  std::string text = "* " + note.what;
  for (const auto& [name, value] : note.fields) text += " " + name + "=" + value.substr(0, 40);
  return text;
}

}  // namespace tnode::sim
