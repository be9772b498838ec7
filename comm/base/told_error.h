#pragma once

#include "comm/base/error.h"

namespace lockstep {

// An error whose message the user has read already.
class ToldError : public Error {
 public:
  using Error::Error;
};

}  // namespace lockstep
