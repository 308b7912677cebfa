#include "server/storage/store.h"
