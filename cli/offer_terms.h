// From a packed task and its terms to the record that a requester starts with.
#pragma once
#include "cli/results.h"
#include "cli/task_file.h"
#include "cli/task_record.h"
#include "core/price.h"
#include "core/reputation.h"

namespace tnode {

class Node;

struct PackedTask { StoredBundle bundle; TaskSpec spec; Terms terms; };

/// What an offer says of the task and its terms, without who offers it when.
Offer offer_terms(const TaskSpec& spec, const Terms& terms);
/// What farmers bid on this node's earlier offers, with how often their units are checked.
std::vector<AskSeen> asks_seen(const Store& store, TimeMs now);

/// A new offer of this node's, or with `go_on` the one of an earlier run that is not over. `invalid` when the terms are out of bounds.
struct NewRecord { TaskRecord record; bool goes_on = false; };
Result<NewRecord> record_for(const Node& node, const PackedTask& task, const std::string& out, bool go_on);
/// Where an offer that stands differs from the terms that are asked for now: "quorum.agree is 2, not 3", … with commas between; empty when it does not.
std::string differing_terms(const TaskRecord& record, const Terms& terms);
/// A name as a file's: what a shell or a file system would trip over becomes a dash.
std::string file_name_of(const std::string& name);

}  // namespace tnode
