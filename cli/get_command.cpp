// `tnode get`: downloads a task or a result from its swarm, like any BitTorrent client, and checks its form.
#include <sys/random.h>

#include <cctype>
#include <chrono>
#include <filesystem>
#include <set>

#include "cli/bundle_disk.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/output.h"
#include "cli/results.h"
#include "cli/quantities.h"
#include "cli/signals.h"
#include "cli/task_record.h"
#include "cli/waiting.h"
#include "core/magnet.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr TimeMs answer_wait_ms = 200;
constexpr std::size_t max_answers = 64;  // about certificates, waiting to be looked at

struct Wanted {
  FetchTorrent request;
  std::string local_dir;  ///< a bundle of this home that holds it already
};

bool all_hex(const std::string& text) { return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string::npos; }

Result<Wanted> wanted_by_id(const Home& home, const std::string& id) {
  Wanted wanted;
  auto from_record = [&](const TaskRecord& record) {
    const bool result = id != "last" && to_hex(record.result).starts_with(id);
    const bool whole = result || id == "last";
    if (whole && record.result.is_zero()) return false;
    wanted.request.v2_hash = whole ? rename_id<Hash>(record.result) : rename_id<Hash>(record.offer.task);
    wanted.request.v1_hash = whole ? record.result_v1 : record.offer.v1_hash;
    wanted.local_dir = whole ? home.result_dir(record.result) : home.task_dir(record.offer.task);
    return true;
  };
  std::error_code ec;
  if (fs::exists(home.store_path(), ec)) {
    auto store = open_store_for_reading(home);
    if (!store) return store.error();
    auto record = match_task_record(**store, id);
    if (!record && (id == "last" || record.error().code == Code::invalid)) return record.error();
    if (record && from_record(*record)) return wanted;
    if (record && !record->running()) return fail(Code::not_found, "that task has no result: it ended as " + record->state + "; `" + home.command("explain " + id) + "` says why");
    if (record) return fail(Code::not_found, "that task has no result yet; `" + home.command("status " + id) + "` says how far it is");
  }
  if (id == "last") return fail(Code::not_found, "this node has offered no task yet");
  if (id.size() != 64) return fail(Code::not_found, "no task or result of this node has an id that starts with '" + id + "'; give the whole id (64 hex digits) or a magnet link");
  auto bytes = from_hex(id);
  wanted.request.v2_hash = *Hash::from_bytes(*bytes);
  return wanted;
}

Result<Wanted> find_wanted(const Home& home, const std::string& what) {
  Wanted wanted;
  if (what.starts_with("magnet:")) {
    auto magnet = parse_magnet(what);
    if (!magnet) return fail(Code::invalid, "this magnet link is broken: " + magnet.error().message);
    wanted.request.v2_hash = magnet->v2_hash;
    wanted.request.v1_hash = magnet->v1_hash;
    wanted.request.peers = magnet->peers;
    return wanted;
  }
  if (all_hex(what) || what == "last") return wanted_by_id(home, what);
  auto bytes = read_file(what);
  if (!bytes && bytes.error().code == Code::not_found) return fail(Code::invalid, "'" + what + "' is neither a magnet link, nor an id, nor a file that is there");
  if (!bytes) return bytes.error();
  if (bytes->starts_with("magnet:")) {
    while (!bytes->empty() && std::isspace(static_cast<unsigned char>(bytes->back()))) bytes->pop_back();
    return find_wanted(home, *bytes);
  }
  auto torrent = parse_canonical_torrent(*bytes);
  if (!torrent) return fail(Code::invalid, what + " is no task or result of tnode: " + torrent.error().message);
  if (!torrent->name.starts_with(bundle_name_prefix)) return fail(Code::invalid, what + " is no task or result of tnode: its name is " + quoted_name(torrent->name));
  wanted.request.v2_hash = torrent->v2_hash;
  wanted.request.v1_hash = torrent->v1_hash;
  wanted.request.torrent = std::move(*bytes);
  return wanted;
}

/// One `get`: the download, and with --verify the search for its proof.
class GetCommand {
 public:
  GetCommand(const GlobalOptions& global, const GetOptions& options) : options_(options), global_(global), output_(global) {}
  int run();

 private:
  std::optional<int> start();
  int download();
  int finish(const Torrent& torrent, const std::string& dir);
  Result<Proof> prove(const Torrent& torrent);
  Result<Certificate> own_certificate(const ResultId& result) const;
  Result<Proof> ask_for_proof(const Torrent& torrent);
  Result<Proof> proof_from(const NodeKey& node, const CertificateAt& at, const Torrent& torrent);
  Result<FetchDone> fetch(FetchTorrent request);
  void meet(const SwarmEvent& event);

  GetOptions options_;
  GlobalOptions global_;
  Output output_;
  std::optional<Home> home_;
  Wanted wanted_;
  TimeMs stall_ms_ = 0;
  std::string out_;
  Waiting waiting_;
  std::unique_ptr<Swarm> swarm_;
  std::set<NodeKey> met_;
  std::deque<std::pair<NodeKey, CertificateAt>> answers_;  // where nodes say that certificates are
};

Json signers_json(const Proof& proof) {
  Json units = Json::array();
  for (const auto& [unit, signers] : proof.signers) {
    Json keys = Json::array();
    for (const NodeKey& key : signers) keys.push_back(to_hex(key));
    units.push_back({{"unit", unit}, {"farmers", keys}});
  }
  return units;
}

std::string proof_text(const Proof& proof) {
  std::map<NodeKey, std::int64_t> farmers;
  for (const auto& [unit, signers] : proof.signers)
    for (const NodeKey& key : signers) ++farmers[key];
  std::string text = "verified  " + std::to_string(proof.signers.size()) + " units, each signed by at least " + std::to_string(proof.fewest) + " farmers (the offer asked for " + std::to_string(proof.offer.agree) + (proof.offer.adaptive ? ", or one that its requester had found right before" : "") + ")\n";
  for (const auto& [key, units] : farmers) text += "          " + to_hex(key) + "  " + std::to_string(units) + " units\n";
  return text + "          offered by " + to_hex(proof.offer.requester) + "; whether you trust these keys is yours to say\n";
}

std::optional<int> GetCommand::start() {
  auto home = Home::find(global_.home);
  if (!home) return fail_with(home.error());
  home_ = *home;
  auto stall = parse_duration(options_.timeout);
  auto wanted = find_wanted(*home_, options_.what);
  auto swarm = swarm_options(global_);
  for (const Error* error : {stall ? nullptr : &stall.error(), wanted ? nullptr : &wanted.error(), swarm ? nullptr : &swarm.error()})
    if (error) {
      (void)fail_with(*error);
      return error->code == Code::invalid ? exit_usage : exit_error;
    }
  stall_ms_ = *stall;
  wanted_ = std::move(*wanted);
  out_ = fs::absolute(options_.out).lexically_normal().string();
  while (out_.size() > 1 && out_.ends_with('/')) out_.pop_back();
  std::error_code ec;
  fs::create_directories(out_, ec);
  if (ec) return fail_with(fail(Code::io, "cannot make the folder " + out_ + ": " + ec.message()));
  if (!wanted_.local_dir.empty())
    if (auto bundle = find_bundle(wanted_.local_dir)) {
      if (auto copied = copy_plain(bundle->dir(), out_ + "/" + bundle->torrent.name); !copied) return fail_with(copied.error());
      return finish(bundle->torrent, out_ + "/" + bundle->torrent.name);
    }
  // A passing client needs no name of its own; the home's key may belong to a node that runs.
  if (getrandom(swarm->key_seed.data(), swarm->key_seed.size(), 0) != static_cast<ssize_t>(swarm->key_seed.size())) return fail_with(fail(Code::io, "no randomness to be had"));
  swarm->bulk = true;
  for (const auto& peer : swarm->peers) wanted_.request.peers.push_back(peer);
  auto started = Swarm::start(*swarm, [this](SwarmEvent event) { waiting_.tell(std::move(event)); });
  if (!started) return fail_with(started.error());
  swarm_ = std::move(*started);
  return std::nullopt;
}

int GetCommand::run() {
  Signals signals;
  signals.on_signal([this](int) { waiting_.interrupt(); });
  if (auto over = start()) return *over;
  const int status = download();
  swarm_.reset();
  return status;
}

int GetCommand::download() {
  wanted_.request.parent_dir = out_;
  auto done = fetch(wanted_.request);
  if (!done) {
    output_.problem(done.error().message);
    return done.error().code == Code::timeout ? exit_timeout : exit_error;
  }
  if (auto whole = check_bundle_on_disk(done->torrent, done->dir); !whole) return fail_with(whole.error());
  return finish(done->torrent, done->dir);
}

void GetCommand::meet(const SwarmEvent& event) {
  if (auto* up = std::get_if<PeerUp>(&event)) met_.insert(up->key);
  if (auto* down = std::get_if<PeerDown>(&event)) met_.erase(down->key);
  if (auto* in = std::get_if<MessageIn>(&event); in && answers_.size() < max_answers) {
    auto message = decode_message(in->message);
    if (auto* at = message ? std::get_if<CertificateAtMessage>(&*message) : nullptr) answers_.emplace_back(in->from, at->at);
  }
}

Result<FetchDone> GetCommand::fetch(FetchTorrent request) {
  request.stall_ms = stall_ms_;
  swarm_->fetch(std::move(request));
  while (!waiting_.interrupted()) {
    auto event = waiting_.next(stall_ms_);
    if (!event) continue;
    meet(*event);
    if (auto* moved = std::get_if<FetchProgress>(&*event)) output_.progress_bytes("download", moved->done_bytes, moved->total_bytes);
    if (auto* done = std::get_if<FetchDone>(&*event)) return std::move(*done);
    if (auto* failed = std::get_if<FetchFailed>(&*event))
      return fail(failed->reason.starts_with("nobody") ? Code::timeout : Code::refused, "cannot download it: " + failed->reason);
  }
  return fail(Code::refused, "interrupted; the same command goes on with what is there");
}

int GetCommand::finish(const Torrent& torrent, const std::string& dir) {
  Json json{{"id", to_hex(torrent.v2_hash)}, {"name", torrent.name}, {"bytes", torrent.total_size}, {"files", torrent.files.size()}, {"out", dir}};
  std::string text = "id        " + to_hex(torrent.v2_hash) + "\nsize      " + format_size(torrent.total_size) + " in " + std::to_string(torrent.files.size()) + " files\nfiles     " + dir + "\n";
  if (options_.verify) {
    auto proof = prove(torrent);
    if (!proof) {
      output_.problem("not verified: " + proof.error().message);
      return proof.error().code == Code::timeout ? exit_timeout : exit_error;
    }
    json["verified"] = true;
    json["fewest_signers"] = proof->fewest;
    json["signers"] = signers_json(*proof);
    text += proof_text(*proof);
  }
  output_.answer(json, text, to_hex(torrent.v2_hash));
  return exit_done;
}

Result<Proof> GetCommand::prove(const Torrent& torrent) {
  if (!torrent.name.starts_with("tnode-result-")) return fail(Code::invalid, "this is no result, and only what farmers agreed on has a certificate");
  const ResultId result = rename_id<ResultId>(torrent.v2_hash);
  auto certificate = own_certificate(result);
  if (certificate) return check_certificate(*certificate, torrent);
  if (!swarm_) return certificate.error();
  return ask_for_proof(torrent);
}

Result<Certificate> GetCommand::own_certificate(const ResultId& result) const {
  auto store = open_store_for_reading(*home_);
  if (!store) return store.error();
  auto at = find_certificate(**store, result);
  if (!at) return fail(Code::not_found, "this home has no certificate of it");
  auto bundle = find_bundle(home_->result_dir(rename_id<ResultId>(at->certificate)));
  if (!bundle) return bundle.error();
  if (auto copied = copy_plain(bundle->dir(), out_ + "/" + bundle->torrent.name); !copied) return copied.error();
  return read_certificate(*bundle);
}

/// Every node met is asked; the first certificate that holds is taken. Anyone may answer, with anything.
Result<Proof> GetCommand::ask_for_proof(const Torrent& torrent) {
  const ResultId result = rename_id<ResultId>(torrent.v2_hash);
  const Bytes question = encode_message(AskCertificateMessage{{result}});
  for (const NodeKey& key : met_) swarm_->send(key, question);
  Result<Proof> proof = fail(Code::timeout, "no node that was met has a certificate of it");
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(stall_ms_);
  while (!waiting_.interrupted() && std::chrono::steady_clock::now() < end) {
    while (!answers_.empty()) {
      const auto [node, at] = answers_.front();
      answers_.pop_front();
      if (at.result != result) continue;
      proof = proof_from(node, at, torrent);
      if (proof) return proof;
      output_.problem("node " + short_hex(node) + " has no good certificate: " + proof.error().message);
    }
    auto event = waiting_.next(answer_wait_ms);
    if (!event) continue;
    meet(*event);
    if (auto* up = std::get_if<PeerUp>(&*event)) swarm_->send(up->key, question);
  }
  return proof;
}

/// Downloaded to a place of its own, so that a wrong one leaves nothing behind, and moved beside the result when it proved it.
Result<Proof> GetCommand::proof_from(const NodeKey& node, const CertificateAt& at, const Torrent& torrent) {
  FetchTorrent request;
  request.v2_hash = at.certificate;
  request.v1_hash = at.certificate_v1;
  request.parent_dir = out_ + "/.tnode-" + short_hex(at.certificate);
  request.holders = {node};
  request.peers = wanted_.request.peers;
  request.max_bytes = max_certificate_bytes + (1 << 20);
  struct Scratch {
    std::string path;
    ~Scratch() {
      std::error_code ec;
      fs::remove_all(path, ec);
    }
  } scratch{request.parent_dir};
  auto done = fetch(request);
  if (!done) return done.error();
  swarm_->remove(at.certificate);
  auto certificate = read_certificate({done->torrent, request.parent_dir});
  if (!certificate) return certificate.error();
  auto proof = check_certificate(*certificate, torrent);
  if (!proof) return proof;
  const std::string name = certificate_name(certificate_manifest(proof->offer.task, certificate->result));
  if (auto kept = copy_plain(done->dir, out_ + "/" + name); !kept) return kept.error();
  return proof;
}

}  // namespace

int run_get(const GlobalOptions& global, const GetOptions& options) { return GetCommand(global, options).run(); }

}  // namespace tnode
