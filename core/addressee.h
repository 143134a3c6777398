// Which of a node's parts a message is for: one farmer, any number of requesters, each the owner of its awards, and the node's own store.
#pragma once
#include "core/messages.h"

namespace tnode {

struct Addressee {
  bool farmer = false;
  bool every_requester = false;
  bool node = false;               ///< the node itself, from its store: whichever of its tasks it was about, now or long ago
  std::optional<AwardId> award{};  ///< the requester that made this award, alone
};
Addressee addressee_of(const Message& message);

}  // namespace tnode
