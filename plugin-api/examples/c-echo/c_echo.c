/* How is a plugin written in C? This one is complete: its method `c.echo` answers with the parameters it was given.
 *
 *     cc -std=c99 -Wall -Wextra -O2 -shared -fPIC -I ../../include -o c-echo.so c_echo.c
 */
#include "gwp.h"

static const char MANIFEST[] =
    "{ \"manifest\": 1, \"id\": \"c-echo\", \"version\": \"1.0.0\", \"license\": \"MIT\","
    "  \"methods\": [{ \"name\": \"c.echo\", \"summary\": \"Says what it heard.\","
    "                 \"role\": \"operator\", \"scopes\": [\"operator.read\"],"
    "                 \"params\": { \"type\": \"object\", \"properties\": { \"text\": { \"type\": \"string\" } },"
    "                             \"required\": [\"text\"], \"additionalProperties\": false } }] }";

static void manifest(gwp_bytes *out) {
    out->ptr = (const uint8_t *)MANIFEST;
    out->len = sizeof MANIFEST - 1;
}

/* What `create` keeps in `self`: here the host alone, whose table stays readable for ever. */
static int32_t start(void *self) { (void)self; return GWP_OK; }

/* The host has checked who asks, and the parameters against the schema. An answer may also come later, from any thread. */
static void call(void *self, const gwp_request *request) {
    const gwp_host *host = self;
    host->reply(host, request->call, GWP_FINAL, request->params);
}

/* Nothing here waits, so there is nothing to cancel, and nothing to end. */
static void cancel(void *self, gwp_call call, int32_t reason) { (void)self; (void)call; (void)reason; }
static void end(void *self, gwp_fn done, void *user) { (void)self; done(user); }
static void destroy(void *self) { (void)self; }
static const void *extension(void *self, gwp_bytes id) { (void)self; (void)id; return NULL; }

static int32_t create(const gwp_host *host, gwp_bytes setup_json, gwp_plugin *out) {
    gwp_plugin plugin = { sizeof plugin, 0, (void *)host, start, call, cancel, end, end, destroy, extension };
    (void)setup_json;
    if (out->size < sizeof plugin) return GWP_UNSUPPORTED;
    *out = plugin;
    return GWP_OK;
}

const gwp_entry gwp_entry_v1 = { GWP_MAGIC, sizeof(gwp_entry), GWP_ABI_MINOR, 0, manifest, create };
