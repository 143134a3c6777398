#include "cli/audit_record.h"

#include <algorithm>
#include <cstdlib>

#include "cli/bundle_disk.h"
#include "cli/results.h"
#include "core/chain.h"
#include "core/published_chain.h"

namespace tnode {
namespace {

std::string record_path(const Home& home, const NodeKey& key) { return home.dir() + "/chains/" + to_hex(key) + ".verified"; }

}  // namespace

/// A line "SEQ ID", a line each with the open and the sealed bundle in hex or nothing, and the summary's bytes.
AuditRecord read_audit_record(const Home& home, const NodeKey& key) {
  AuditRecord record;
  auto text = read_file(record_path(home, key));
  if (!text) return record;
  std::string_view rest = *text;
  auto line = [&rest] {
    const std::string_view first = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), first.size() + 1));
    return first;
  };
  const std::string_view mark = line(), open = line(), sealed = line();
  const auto space = mark.find(' ');
  auto id = space == std::string_view::npos ? Result<Bytes>(fail(Code::invalid, "")) : from_hex(mark.substr(space + 1));
  if (!id || id->size() != 32) return record;
  record.mark = VerifiedMark{std::strtoull(std::string(mark).c_str(), nullptr, 10), *BlockId::from_bytes(*id)};
  if (auto bundle = from_hex(open); bundle && bundle->size() == 32) record.open = *Hash::from_bytes(*bundle);
  auto bundle = from_hex(sealed);
  auto summary = decode_chain_summary(rest);
  if (!bundle || bundle->size() != 32 || !summary) return record;
  record.sealed = *Hash::from_bytes(*bundle);
  record.summary = std::move(*summary);
  return record;
}

Result<void> write_audit_record(const Home& home, const NodeKey& key, const AuditRecord& record) {
  check(record.mark.has_value(), "an audit that held has a last block");
  Bytes text = std::to_string(record.mark->seq) + " " + to_hex(record.mark->id) + "\n" + (record.open.is_zero() ? std::string() : to_hex(record.open)) + "\n" + (record.summary ? to_hex(record.sealed) : std::string()) + "\n";
  if (record.summary) text += encode_chain_summary(*record.summary);
  return write_file_atomically(record_path(home, key), text);
}

std::vector<Block> verified_before(const Home& home, const AuditRecord& record, const std::vector<std::uint64_t>& seqs) {
  std::vector<Block> found;
  auto wanted = [&](std::uint64_t seq) { return seqs.empty() || std::find(seqs.begin(), seqs.end(), seq) != seqs.end(); };
  auto read = [&](const StoredBundle& bundle) {
    auto bytes = read_file(bundle.dir() + "/" + segment_blocks_file);
    if (!bytes) return;
    for (const Block& block : blocks_in(*bytes))
      if (wanted(block.seq)) found.push_back(block);
  };
  if (auto open = seqs.empty() && !record.open.is_zero() ? find_bundle(home.segment_dir(record.open)) : Result<StoredBundle>(fail(Code::not_found, ""))) read(*open);
  const std::uint64_t lowest = seqs.empty() ? 0 : *std::min_element(seqs.begin(), seqs.end());
  Hash at = record.sealed;
  for (std::uint64_t behind = record.summed_up(); behind > lowest;) {
    auto bundle = find_bundle(home.segment_dir(at));
    auto text = bundle ? read_file(bundle->dir() + "/manifest") : Result<Bytes>(bundle.error());
    auto manifest = text ? decode_segment_manifest(*text) : Result<SegmentManifest>(text.error());
    if (!manifest || manifest->first >= behind) break;
    if (seqs.empty() || std::any_of(seqs.begin(), seqs.end(), [&](std::uint64_t seq) { return seq >= manifest->first && seq < behind; })) read(*bundle);
    behind = manifest->first;
    at = manifest->previous.v2;
  }
  return found;
}

}  // namespace tnode
