// How nodes that are not honest bend what their role would have said.
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace tnode::sim {

bool votes_wrong(Behaviour behaviour) {
  switch (behaviour) {
    case Behaviour::liar:
    case Behaviour::sometimes_liar:
    case Behaviour::colluder:
    case Behaviour::mislabeller: return true;
    case Behaviour::honest:
    case Behaviour::slow:
    case Behaviour::silent:
    case Behaviour::sleeper:
    case Behaviour::no_reveal:
    case Behaviour::changer:
    case Behaviour::refuser:
    case Behaviour::withholder:
    case Behaviour::bad_inline: return false;
  }
  return false;
}

bool votes_right(Behaviour behaviour) {
  return behaviour == Behaviour::honest || behaviour == Behaviour::slow || behaviour == Behaviour::withholder || behaviour == Behaviour::bad_inline;
}

std::optional<Message> SimNode::as_it_behaves(const Message& message) {
  const bool accepts = std::holds_alternative<AcceptMessage>(message), commits = std::holds_alternative<CommitMessage>(message);
  const auto* reveals = std::get_if<RevealMessage>(&message);
  switch (terms_.behaviour) {
    case Behaviour::silent:
      if (accepts || commits || reveals) return std::nullopt;
      break;
    case Behaviour::sleeper:
      if (commits || reveals) return std::nullopt;
      break;
    case Behaviour::no_reveal:
      if (reveals) return std::nullopt;
      break;
    case Behaviour::changer:
      if (reveals) {
        auto body = decode_reveal(reveals->reveal.body);
        for (auto& [unit, vote] : body->units) vote.result.bytes[0] ^= 1;
        return RevealMessage{sign_body(key_, reveal_domain, encode(*body)), reveals->beside};
      }
      break;
    default: break;
  }
  return message;
}

void SimNode::reveal_early(const Bytes& vote_record) {
  auto reveal = std::get<RevealMessage>(*decode_message(vote_record));
  auto body = decode_reveal(reveal.reveal.body);
  for (const auto& node : world_.nodes())
    for (const auto& task : node->tasks())
      if (task->role && task->role->owns(body->award)) carry(Send{node->key(), RevealMessage{sign_body(key_, reveal_domain, reveal.reveal.body), reveal.beside}}, true);
}

}  // namespace tnode::sim
