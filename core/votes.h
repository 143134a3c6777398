// A vote and what travels beside it, as bencoded values; and the hash that commits to a vote. Pure.
#pragma once
#include "core/bencode.h"
#include "core/messages.h"

namespace tnode {

bencode::Dictionary vote_value(const Vote& vote);
/// False when it is no vote.
bool read_vote(const bencode::Value& value, Vote& vote);

bencode::Dictionary extra_value(const Extra& extra);
bool read_extra(const bencode::Value& value, Extra& extra);

}  // namespace tnode
