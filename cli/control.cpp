#include "cli/control.h"

#include <charconv>
#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "cli/bundle_disk.h"
#include "cli/node.h"
#include "cli/runtime_store.h"

namespace tnode {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view cancel_prefix = "cancel-", serve_prefix = "runtime-", pay_prefix = "pay-", proof_prefix = "proof-";
constexpr std::string_view pause_name = "pause", resume_name = "resume";
constexpr int answer_wait_tries = 100;  // of 50 ms

std::string name_of(const Payment& payment) {
  return std::string(pay_prefix) + to_hex(payment.payee) + "-" + std::to_string(payment.amount) + "-" + to_hex(payment.nonce);
}

/// What a file's name asks for, when it is one that name_of() wrote.
std::optional<Payment> payment_of(const std::string& name, const NodeKey& payer) {
  const auto first = pay_prefix.size() + 64, last = name.rfind('-');
  if (!name.starts_with(pay_prefix) || name.size() <= first || name[first] != '-' || last <= first) return std::nullopt;
  auto payee = from_hex(name.substr(pay_prefix.size(), 64)), nonce = from_hex(name.substr(last + 1));
  Payment payment{payer, {}, 0, {}};
  const std::string amount = name.substr(first + 1, last - first - 1);
  auto [end, problem] = std::from_chars(amount.data(), amount.data() + amount.size(), payment.amount);
  if (!payee || payee->size() != 32 || !nonce || nonce->size() != 32 || problem != std::errc() || end != amount.data() + amount.size()) return std::nullopt;
  payment.payee = *NodeKey::from_bytes(*payee);
  payment.nonce = *Hash::from_bytes(*nonce);
  return payment;
}

/// The id in a request's name; nothing when it is another request, half-written, or none at all.
template <class Id>
std::optional<Id> id_in(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  auto bytes = from_hex(name.substr(prefix.size()));
  auto id = bytes ? Id::from_bytes(*bytes) : Result<Id>(bytes.error());
  return id ? std::optional(*id) : std::nullopt;
}

std::vector<Bytes> split_blocks(std::string_view bytes) {
  std::vector<Bytes> blocks;
  for (; bytes.size() >= block_bytes; bytes.remove_prefix(block_bytes)) blocks.emplace_back(bytes.substr(0, block_bytes));
  return blocks;
}

void take(Node& node, const std::string& path, const ControlActions& actions) {
  const std::string name = fs::path(path).filename().string();
  if (auto payment = payment_of(name, node.key().key())) {
    (void)node.pay(*payment);  // what came of it stands in the store
    // The request goes when its record is durable: a node that dies in between finds it again, and pays once.
    return node.after_commit([path] {
      std::error_code ec;
      fs::remove(path, ec);
    });
  }
  if (name.starts_with(proof_prefix)) {
    auto bytes = read_file(path);
    auto fraud = bytes ? check_fraud(split_blocks(*bytes)) : Result<Fraud>(bytes.error());
    if (fraud) node.take_proof(*fraud);
    return node.after_commit([path] {
      std::error_code ec;
      fs::remove(path, ec);
    });
  }
  const auto task = id_in<TaskId>(name, cancel_prefix);
  const auto runtime = id_in<RuntimeId>(name, serve_prefix);
  const bool pauses = actions.pause && (name == pause_name || name == resume_name);
  if (!pauses && !task && !runtime) return;
  std::error_code ec;
  fs::remove(path, ec);
  if (pauses) return actions.pause(name == pause_name);
  if (task) return actions.cancel(*task);
  if (auto bundle = find_runtime(node.home(), *runtime)) node.offer(*bundle, Node::Twin::no);
}

}  // namespace

ControlFolder::ControlFolder(Node& node, ControlActions actions) {
  auto folder = WatchFolder::start(node.home().control_dir(), [&node, actions](const std::string& path) { node.post([&node, path, actions] { take(node, path, actions); }); });
  if (folder) folder_ = std::move(*folder);
}

Result<void> ask_to_cancel(const Home& home, const TaskId& task) {
  return write_file_atomically(home.control_dir() + "/" + std::string(cancel_prefix) + to_hex(task), "");
}

Result<void> ask_to_pay(const Home& home, const Payment& payment) {
  return write_file_atomically(home.control_dir() + "/" + name_of(payment), "");
}

Result<void> ask_to_keep_proof(const Home& home, const Fraud& fraud) {
  Bytes blocks;
  for (const Block& block : fraud.blocks) blocks += encode_block(block);
  return write_file_atomically(home.control_dir() + "/" + std::string(proof_prefix) + to_hex(sha256(blocks)), blocks);
}

Result<void> ask_to_serve(const Home& home, const RuntimeId& runtime) {
  return write_file_atomically(home.control_dir() + "/" + std::string(serve_prefix) + to_hex(runtime), "");
}

Result<void> ask_to_pause(const Home& home, bool paused) {
  const auto nobody = [&] { return fail(Code::not_found, "no farmer runs with the home " + home.dir() + "; start one with `tnode farm`, or name its --home"); };
  if (!fs::is_directory(home.control_dir())) return nobody();
  const std::string request = home.control_dir() + "/" + std::string(paused ? pause_name : resume_name);
  if (auto asked = write_file_atomically(request, ""); !asked) return asked;
  for (int tries = 0; tries < answer_wait_tries; ++tries) {
    if (!fs::exists(request)) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::error_code ec;
  return fs::remove(request, ec) ? Result<void>(nobody()) : Result<void>();
}

}  // namespace tnode
