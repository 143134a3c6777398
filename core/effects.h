// What both roles ask of the world and hear from it. Values: the adapters carry them out in order and bring events back later.
#pragma once
#include <string>
#include <vector>

#include "core/messages.h"
#include "core/types.h"

namespace tnode {

/// Send a message to a node we have (or had) a channel with. Lost when there is none: both roles resend when a peer returns.
struct Send { NodeKey to; Message message; };
/// Keep a small record durably; later effects of the same batch happen only if it was.
struct Save { std::string bucket; Bytes key; Bytes value; };
struct Erase { std::string bucket; Bytes key; };
/// Tell the user (progress, `explain`); `what` is one word, fields are shown as they are.
struct Note { std::string what; std::vector<std::pair<std::string, std::string>> fields; };

/// A written block comes back as an event, in the order asked.
struct BlockWritten { AwardId award; Bytes block; };
struct BlockRefused { AwardId award; Code code; std::string reason; };

/// A channel to that key is open; it may be a return.
struct PeerCame { NodeKey key; };
struct PeerLeft { NodeKey key; };
struct MessageCame { NodeKey from; Message message; };
/// That key cheated, and there is proof: no new dealings with it.
struct KeyCaught { NodeKey key; std::string rule; };
/// Nothing happened but time.
struct Tick {};

}  // namespace tnode
