// Portable proof of a quorum: the signed reveals that agreed on a task's units, and what joins those units into the whole result.
// Pure. Whether the signers deserve trust is for the reader to decide; that they signed this result is checked here.
#pragma once
#include <map>
#include <set>
#include <vector>

#include "core/messages.h"
#include "core/torrent.h"

namespace tnode {

struct SignedReveal { NodeKey farmer; Signed reveal; };

struct Certificate {
  Signed offer;                          ///< the requester's terms: task, quorum
  ResultId result;                       ///< the whole task's
  std::map<UnitNumber, Bytes> units;     ///< info dictionary of each unit's result torrent
  std::vector<SignedReveal> reveals;
};

Bytes encode_certificate(const Certificate& certificate);
Result<Certificate> decode_certificate(std::string_view bytes);

/// What a certificate proves of a result.
struct Proof {
  Offer offer;
  std::map<UnitNumber, std::set<NodeKey>> signers;  ///< who signed each unit's accepted result
  std::int64_t fewest = 0;                          ///< signers of the unit that has the fewest
};
/// Checks everything: signatures, that each unit's result speaks of its task and number, that the whole is made of exactly the units' files.
/// `invalid`, naming the first thing that does not hold.
Result<Proof> check_certificate(const Certificate& certificate, const Torrent& whole);

/// Name of a certificate's own bundle, whose files are `manifest` and `certificate`.
Bytes certificate_manifest(const TaskId& task, const ResultId& result);
std::string certificate_name(std::string_view manifest);
inline constexpr const char* certificate_file = "certificate";
inline constexpr std::size_t max_certificate_bytes = 64 << 20;

}  // namespace tnode
