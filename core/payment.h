// A payment outside of a task: who pays whom how much, told apart from its like by a nonce. Pure.
#pragma once
#include "core/types.h"

namespace tnode {

struct Payment {
  NodeKey payer, payee;
  Micro amount = 0;
  Hash nonce;  ///< drawn by whoever asks for the payment: asked for twice, it is paid once
};

/// The `ref` of its HOLD, DEBIT and CREDIT: H("payment-ref", payer, payee, amount as 8 bytes little-endian, nonce).
Hash payment_ref(const Payment& payment);

}  // namespace tnode
