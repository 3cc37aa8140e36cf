#pragma once
/** PortService. */
#include "aisbx/v1/port_service.rpc.h"

extern const struct aisbx__v1__port_service__server sb_api_port_service;
