#pragma once

#include "layers/model/custom_layer.h"

namespace consumer {

// y = max(x, 0) + a · min(x, 0), with `slopes` learned values a, each for as many channels as lie side by
// side. He et al., "Delving deep into rectifiers" (2015). The number of slopes must divide the channels.
//   {prelu: {slopes: 4, start: 0.25}}
lockstep::CustomLayer prelu();

}  // namespace consumer
