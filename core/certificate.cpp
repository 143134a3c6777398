#include "core/certificate.h"

#include <algorithm>

#include "core/dict_reader.h"
#include "core/result_manifest.h"
#include "core/unit_keys.h"

namespace tnode {
namespace {

using bencode::Dictionary;
using bencode::DictReader;
using bencode::List;

Bytes signature_bytes(const Signature& signature) { return Bytes(reinterpret_cast<const char*>(signature.data()), signature.size()); }

Dictionary signed_value(const Signed& message) { return {{"body", message.body}, {"sig", signature_bytes(message.signature)}}; }

bool read_signed(DictReader& reader, Signed& into) {
  into.body = reader.bytes("body", 64 << 10);
  reader.fixed("sig", into.signature);
  return !into.body.empty();
}

/// The merkle root of a small file.
Hash root_of(std::string_view content) {
  FileHasher hasher(min_piece_length);
  hasher.update(content);
  return hasher.finish().pieces_root;
}

const Torrent::File* file_of(const Torrent& torrent, std::string_view path) {
  for (const auto& file : torrent.files)
    if (file.path == path) return &file;
  return nullptr;
}

using Files = std::map<std::string, std::pair<Hash, bool>>;

/// Takes a unit's outputs into the whole; false when two units say different things of one path.
bool add_outputs(const Torrent& unit, Files& files) {
  for (const auto& file : unit.files) {
    if (!file.path.starts_with("out/")) continue;
    std::pair<Hash, bool> content{file.pieces_root, file.executable};
    auto [there, fresh] = files.try_emplace(file.path, content);
    if (!fresh && there->second != content) return false;
  }
  return true;
}

Result<Torrent> check_unit(const Certificate& certificate, const TaskId& task, UnitNumber unit, const Outcome& outcome) {
  const std::string name = "unit " + std::to_string(unit);
  auto torrent = parse_canonical_info(certificate.units.at(unit));
  if (!torrent) return fail(Code::invalid, name + ": " + torrent.error().message);
  const Bytes manifest = unit_result_manifest(task, unit, outcome, -1);
  const auto* file = file_of(*torrent, "manifest");
  if (!file || file->size != static_cast<std::int64_t>(manifest.size()) || file->pieces_root != root_of(manifest))
    return fail(Code::invalid, name + ": its result speaks of another task, unit or ending");
  return torrent;
}

}  // namespace

Bytes encode_certificate(const Certificate& certificate) {
  Dictionary units;
  for (const auto& [unit, info] : certificate.units) units[unit_key(unit)] = info;
  List reveals;
  for (const auto& each : certificate.reveals) {
    Dictionary entry = signed_value(each.reveal);
    entry["farmer"] = each.farmer.view();
    reveals.push_back(std::move(entry));
  }
  return bencode::encode(Dictionary{{"offer", signed_value(certificate.offer)}, {"result", certificate.result.view()}, {"reveals", std::move(reveals)}, {"tnode", 1}, {"units", std::move(units)}});
}

Result<Certificate> decode_certificate(std::string_view bytes) {
  if (bytes.size() > max_certificate_bytes) return fail(Code::invalid, "the certificate is larger than 64 MiB");
  auto value = bencode::decode(bytes);
  if (!value) return fail(Code::invalid, "the certificate is broken: " + value.error().message);
  Certificate certificate;
  DictReader reader(*value);
  reader.number("tnode", 1, 1);
  DictReader offer(reader.any("offer"));
  if (!read_signed(offer, certificate.offer)) reader.refuse("its offer is broken");
  if (auto good = offer.finish(); !good) reader.refuse(good.error().message);
  reader.id("result", certificate.result);
  for (const auto& item : reader.list("reveals", max_units)) {
    DictReader entry(item);
    SignedReveal each;
    entry.id("farmer", each.farmer);
    if (!read_signed(entry, each.reveal)) reader.refuse("a reveal is broken");
    if (auto good = entry.finish(); !good) reader.refuse(good.error().message);
    certificate.reveals.push_back(std::move(each));
  }
  for (const auto& [key, info] : reader.dictionary("units", max_units)) {
    const auto unit = unit_of_key(key);
    if (!unit || !info.bytes()) {
      reader.refuse("a unit is broken");
      break;
    }
    certificate.units[*unit] = *info.bytes();
  }
  if (auto good = reader.finish(); !good) return fail(Code::invalid, "the certificate: " + good.error().message);
  return certificate;
}

Result<Proof> check_certificate(const Certificate& certificate, const Torrent& whole) {
  Proof proof;
  auto offer = decode_offer(certificate.offer.body);
  if (!offer) return offer.error();
  proof.offer = std::move(*offer);
  if (!verify_body(proof.offer.requester, offer_domain, certificate.offer)) return fail(Code::invalid, "the offer's signature is wrong");
  if (certificate.result != rename_id<ResultId>(whole.v2_hash)) return fail(Code::invalid, "the certificate is of another result");
  if (certificate.units.size() != proof.offer.units || certificate.units.rbegin()->first != proof.offer.units - 1)
    return fail(Code::invalid, "the certificate has " + std::to_string(certificate.units.size()) + " units, the task " + std::to_string(proof.offer.units));

  const Outcome good_outcome;
  Files files;
  for (const auto& [unit, info] : certificate.units) {
    auto torrent = check_unit(certificate, proof.offer.task, unit, good_outcome);
    if (!torrent) return torrent.error();
    if (!add_outputs(*torrent, files)) return fail(Code::invalid, "unit " + std::to_string(unit) + " contradicts another about a file");
    proof.signers[unit];
  }
  for (const auto& [farmer, message] : certificate.reveals) {
    auto reveal = decode_reveal(message.body);
    if (!reveal) return reveal.error();
    if (!verify_body(farmer, reveal_domain, message)) return fail(Code::invalid, "a reveal's signature is wrong");
    for (const auto& [unit, vote] : reveal->units) {
      auto info = certificate.units.find(unit);
      if (info != certificate.units.end() && vote.result == rename_id<ResultId>(sha256(info->second)) && vote.outcome == good_outcome) proof.signers[unit].insert(farmer);
    }
  }
  proof.fewest = static_cast<std::int64_t>(certificate.reveals.size());
  for (const auto& [unit, signers] : proof.signers) {
    proof.fewest = std::min(proof.fewest, static_cast<std::int64_t>(signers.size()));
    if (static_cast<std::int64_t>(signers.size()) < (proof.offer.adaptive ? 1 : proof.offer.agree))
      return fail(Code::invalid, "unit " + std::to_string(unit) + " has " + std::to_string(signers.size()) + " signatures; the offer asks for " + std::to_string(proof.offer.agree));
  }
  // A task of one unit has that unit's result as its own.
  if (certificate.units.size() == 1) {
    if (rename_id<ResultId>(sha256(certificate.units.at(0))) != certificate.result) return fail(Code::invalid, "the result is not the unit's");
    return proof;
  }
  const Bytes manifest = whole_result_manifest(proof.offer.task, proof.offer.units);
  const auto* manifest_file = file_of(whole, "manifest");
  if (!manifest_file || manifest_file->pieces_root != root_of(manifest)) return fail(Code::invalid, "the result's manifest speaks of another task");
  Files of_whole;
  add_outputs(whole, of_whole);
  if (of_whole != files || whole.files.size() != files.size() + 1) return fail(Code::invalid, "the result is not made of exactly its units' files");
  return proof;
}

Bytes certificate_manifest(const TaskId& task, const ResultId& result) {
  return bencode::encode(Dictionary{{"certificate", 1}, {"result", result.view()}, {"task", task.view()}, {"tnode", 1}});
}

std::string certificate_name(std::string_view manifest) { return "tnode-certificate-" + to_hex(sha256(manifest).view().substr(0, 8)); }

}  // namespace tnode
