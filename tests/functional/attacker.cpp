// An attacker's hands, built for the tests alone and never part of the program: keys of its own, channels to a node, any bytes sent through
// them, blocks signed whether they are right or not. Commands come on stdin, one a line; what happens goes to stdout.
//
//   tnode_attacker SEED-HEX LISTEN PEER
//
//   HEX               says that frame                                   "up KEY", "down KEY", "message KEY HEX" as they happen
//   times N HEX       says it so often                                  "said N"
//   sign SEED HEX     signs a block's body with any key                 "signed HEX"
//   pay N             pays the peer so often one micro-credit, by a chain that adds up      "paid N"
//   convict N         makes keys that cheat, and hands over the proofs  "convicted N"
//   keys N HEX        so many new keys say that frame, one after the other                  "met N"
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <set>
#include <sstream>

#include "core/block.h"
#include "core/messages.h"
#include "swarm/swarm.h"

using namespace tnode;

namespace {

constexpr auto channel_wait = std::chrono::seconds(10);

Seed seed_of(const std::string& hex) {
  auto bytes = from_hex(hex);
  check(bytes.ok() && bytes->size() == 32, "a seed has 64 hex digits");
  Seed seed;
  for (std::size_t i = 0; i < 32; ++i) seed[i] = static_cast<std::uint8_t>((*bytes)[i]);
  return seed;
}

Seed numbered_seed(const Seed& first, int number) {
  Seed seed = first;
  for (std::size_t i = 0; i < 4; ++i) seed[28 + i] = static_cast<std::uint8_t>(seed[28 + i] ^ (number >> (8 * i) & 0xff));
  seed[0] ^= 0x80;
  return seed;
}

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// One key's channels to the node under attack.
class Attacker {
 public:
  Attacker(const Seed& seed, const std::string& listen, const std::string& peer, bool tells) : tells_(tells) {
    SwarmOptions options;
    options.key_seed = seed;
    options.listen = listen;
    options.peers = {peer};
    options.data_dir = ".";
    auto started = Swarm::start(options, [this](SwarmEvent event) { hear(event); });
    check(started.ok(), "the attacker listens");
    swarm_ = std::move(*started);
  }
  void send(const Bytes& frame, int times = 1) {
    std::lock_guard lock(mutex_);
    for (const NodeKey& key : up_)
      for (int i = 0; i < times; ++i) swarm_->send(key, frame);
  }
  /// The node that it is connected to.
  std::optional<NodeKey> victim() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, channel_wait, [this] { return !up_.empty(); });
    return up_.empty() ? std::nullopt : std::optional(*up_.begin());
  }

 private:
  void hear(const SwarmEvent& event) {
    std::lock_guard lock(mutex_);
    if (auto* came = std::get_if<PeerUp>(&event)) {
      up_.insert(came->key);
      if (tells_) say("up " + to_hex(came->key));
      changed_.notify_all();
    } else if (auto* left = std::get_if<PeerDown>(&event)) {
      up_.erase(left->key);
      if (tells_) say("down " + to_hex(left->key));
    } else if (auto* message = std::get_if<MessageIn>(&event); message && tells_) {
      say("message " + to_hex(message->from) + " " + to_hex(message->message));
    }
  }

  bool tells_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<NodeKey> up_;
  std::unique_ptr<Swarm> swarm_;  // last: it stops first
};

/// Payments that are right in every way but that there are so many.
void pay(Attacker& attacker, const KeyPair& key, int times) {
  const auto victim = attacker.victim();
  if (!victim) return say("paid 0");
  Block head;
  head.key = key.key();
  head.amount = 1'000'000 * credit_micro;
  head.time_ms = 1'700'000'000'000;
  sign_block(head, key);
  for (int i = 0; i < times; ++i) {
    Block hold = head;
    hold.type = BlockType::hold;
    hold.seq = head.seq + 1;
    hold.prev = block_id(head);
    hold.link = {};
    hold.counterparty = *victim;
    hold.ref = sha256("payment " + std::to_string(i));
    hold.amount = hold.held = 1;
    hold.expiry_ms = hold.time_ms;
    Block debit = hold;
    debit.type = BlockType::debit;
    debit.seq = hold.seq + 1;
    debit.prev = debit.link = block_id(hold);
    debit.held = 0;
    debit.balance = hold.balance - 1;
    debit.expiry_ms = 0;
    sign_block(debit, key);
    attacker.send(encode_message(PaymentMessage{{encode_block(debit)}}));
    head = debit;
  }
  say("paid " + std::to_string(times));
}

void convict(Attacker& attacker, const Seed& seed, int keys) {
  const NodeKey payee = KeyPair::from_seed(seed).key();
  for (int number = 0; number < keys; ++number) {
    const KeyPair key = KeyPair::from_seed(numbered_seed(seed, number));
    FraudMessage proof;
    for (Micro amount : {1, 2}) {
      Block hold;
      hold.type = BlockType::hold;
      hold.key = key.key();
      hold.seq = 4;
      hold.counterparty = payee;
      hold.ref = sha256("made to be found");
      hold.amount = hold.held = amount;
      sign_block(hold, key);
      proof.fraud.blocks.push_back(encode_block(hold));
    }
    attacker.send(encode_message(proof));
  }
  say("convicted " + std::to_string(keys));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const Seed seed = seed_of(argv[1]);
  Attacker attacker(seed, argv[2], argv[3], true);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command, hex;
    int number = 0;
    words >> command;
    if (command == "sign") {
      std::string signer;
      words >> signer >> hex;
      auto body = from_hex(hex);
      if (!body) return 2;
      const Signature signature = KeyPair::from_seed(seed_of(signer)).sign("block", *body);
      say("signed " + to_hex(std::string_view(reinterpret_cast<const char*>(signature.data()), signature.size())));
    } else if (command == "pay" && words >> number) {
      pay(attacker, KeyPair::from_seed(seed), number);
    } else if (command == "convict" && words >> number) {
      convict(attacker, seed, number);
    } else if ((command == "times" || command == "keys") && words >> number >> hex) {
      auto frame = from_hex(hex);
      if (!frame) return 2;
      if (command == "times") {
        attacker.send(*frame, number);
        say("said " + std::to_string(number));
        continue;
      }
      int met = 0;
      for (int i = 0; i < number; ++i) {
        Attacker another(numbered_seed(seed, i), "127.0.0.1:0", argv[3], false);
        if (!another.victim()) continue;
        another.send(*frame);
        ++met;
      }
      say("met " + std::to_string(met));
    } else {
      auto frame = from_hex(line);
      if (!frame) return 2;
      attacker.send(*frame);
    }
  }
  return 0;
}
