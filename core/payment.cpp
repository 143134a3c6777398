#include "core/payment.h"

#include "core/crypto.h"

namespace tnode {

Hash payment_ref(const Payment& payment) {
  Bytes text(payment.payer.view());
  text += payment.payee.view();
  for (int i = 0; i < 8; ++i) text += static_cast<char>(static_cast<std::uint64_t>(payment.amount) >> (8 * i) & 0xff);
  text += payment.nonce.view();
  return domain_hash("payment-ref", text);
}

}  // namespace tnode
