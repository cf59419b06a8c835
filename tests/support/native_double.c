/* A double of certadm.dll and ntdsbcli.dll. Memory, handles and wide text are handled here, as such libraries do; what a
 * call comes to is asked of a function that the test gives. On Windows the prototypes are those of the public headers,
 * or this does not compile; elsewhere types of the same widths stand in for them.
 *
 * Linux: cc -shared -fPIC; Windows: x86_64-w64-mingw32-gcc -shared. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#define _CERTCLI_
#include <certbcli.h>
#include <ntdsbcli.h>
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#define WINAPI
typedef int32_t HRESULT, LONG, WINBOOL;
typedef uint32_t DWORD, ULONG;
typedef uint16_t WCHAR;
typedef union { int64_t QuadPart; } LARGE_INTEGER;
typedef struct { WCHAR *pwszDatabaseName, *pwszNewDatabaseName; } CSEDB_RSTMAPW;
typedef struct { WCHAR *wszDatabaseName, *wszNewDatabaseName; } EDB_RSTMAPW;
#endif

#define BAD_HANDLE ((HRESULT)0xC7FF0003)
#define TOO_MANY ((HRESULT)0x8007000E)
#define MOST 64

/* What a call was given, and what it is to come to. */
typedef struct {
    const WCHAR *texts[3]; /* names and paths, each with its end */
    const void *rows;      /* of the restore map: pairs of texts */
    uint32_t numbers[4];   /* kind, size, count, generations */
    void *memory;          /* where a read goes; a token that comes in */
    int64_t answer;        /* a size, a count, a yes or no */
    const void *given;     /* bytes of a list or a token that go out */
    uint32_t given_size;   /* how many there are */
    uint32_t told_size;    /* how many the caller is told of */
} Request;

typedef HRESULT (*Backend)(const char *, Request *);

static Backend backend;
static void *contexts[MOST], *lists[MOST];
static int wrong_frees;

static int find(void **table, const void *what)
{
    for (int at = 0; at < MOST; at++)
        if (table[at] == what)
            return at;
    return -1;
}

static int count(void **table)
{
    int found = 0;
    for (int at = 0; at < MOST; at++)
        found += table[at] != NULL;
    return found;
}

static HRESULT ask(const char *call, Request *request)
{
    return backend ? backend(call, request) : BAD_HANDLE;
}

/* Give memory out, which the caller must give back. */
static HRESULT hand_out(const Request *request, void **memory, DWORD *size)
{
    int at = find(lists, NULL);
    *size = request->told_size;
    *memory = NULL;
    if (!request->given)
        return 0;
    if (at < 0)
        return TOO_MANY;
    *memory = lists[at] = malloc(request->given_size ? request->given_size : 1);
    memcpy(*memory, request->given, request->given_size);
    return 0;
}

static HRESULT begin(const char *call, Request *request, void **handle)
{
    HRESULT result = ask(call, request);
    int at = find(contexts, NULL);
    *handle = NULL;
    if (result || request->answer < 0) /* -1: success without a context */
        return result;
    if (at < 0)
        return TOO_MANY;
    *handle = contexts[at] = malloc(16);
    return 0;
}

static HRESULT within(void *handle, const char *call, Request *request)
{
    return handle && find(contexts, handle) >= 0 ? ask(call, request) : BAD_HANDLE;
}

static HRESULT simple(void *handle, const char *call, DWORD number)
{
    Request request = {.numbers = {number}};
    return within(handle, call, &request);
}

static HRESULT end(void *handle, const char *call)
{
    int at = handle ? find(contexts, handle) : -1;
    HRESULT result = simple(handle, call, 0);
    if (at >= 0) {
        free(contexts[at]);
        contexts[at] = NULL;
    }
    return result;
}

static HRESULT list(void *handle, const char *call, WCHAR **names, DWORD *size)
{
    Request request = {0};
    HRESULT result = within(handle, call, &request);
    return result ? result : hand_out(&request, (void **)names, size);
}

static HRESULT online(const WCHAR *server, WINBOOL *answer)
{
    Request request = {.texts = {server}};
    HRESULT result = ask("is_online", &request);
    *answer = (WINBOOL)request.answer;
    return result;
}

static HRESULT open_file(void *handle, const WCHAR *name, DWORD hint, LARGE_INTEGER *size)
{
    Request request = {.texts = {name}, .numbers = {hint}};
    HRESULT result = within(handle, "open", &request);
    size->QuadPart = request.answer;
    return result;
}

static HRESULT read_file(void *handle, void *buffer, DWORD size, DWORD *got)
{
    Request request = {.memory = buffer, .numbers = {size}};
    HRESULT result = within(handle, "read", &request);
    *got = (DWORD)request.answer;
    return result;
}

static HRESULT enter(void *handle, const WCHAR *const *paths, const void *rows, LONG rows_count, ULONG low, ULONG high)
{
    Request request = {.texts = {paths[0], paths[1], paths[2]}, .rows = rows, .numbers = {(DWORD)rows_count, low, high}};
    return within(handle, "register", &request);
}

static void give_back(void *memory)
{
    int at = memory ? find(lists, memory) : -1;
    if (at < 0) {
        wrong_frees++;
        return;
    }
    free(lists[at]);
    lists[at] = NULL;
}

/* For the test: who answers, and what is still held. */
API void double_connect(Backend answering)
{
    backend = answering;
    memset(contexts, 0, sizeof contexts);
    memset(lists, 0, sizeof lists);
    wrong_frees = 0;
}

API int32_t double_holds(int32_t what)
{
    return what == 0 ? count(contexts) : what == 1 ? count(lists) : wrong_frees;
}

/* certadm.dll */
API HRESULT WINAPI CertSrvIsServerOnlineW(WCHAR const *server, WINBOOL *answer) { return online(server, answer); }
API HRESULT WINAPI CertSrvBackupPrepareW(WCHAR const *server, ULONG grbit, ULONG flags, void **handle)
{
    Request request = {.texts = {server}, .numbers = {flags, grbit}};
    return begin("prepare_backup", &request, handle);
}
API HRESULT WINAPI CertSrvBackupGetDatabaseNamesW(void *h, WCHAR **names, DWORD *size) { return list(h, "database_names", names, size); }
API HRESULT WINAPI CertSrvBackupGetBackupLogsW(void *h, WCHAR **names, DWORD *size) { return list(h, "backup_logs", names, size); }
API HRESULT WINAPI CertSrvBackupGetDynamicFileListW(void *h, WCHAR **names, DWORD *size) { return list(h, "dynamic_files", names, size); }
API HRESULT WINAPI CertSrvBackupOpenFileW(void *h, WCHAR const *name, DWORD hint, LARGE_INTEGER *size) { return open_file(h, name, hint, size); }
API HRESULT WINAPI CertSrvBackupRead(void *h, void *buffer, DWORD size, DWORD *got) { return read_file(h, buffer, size, got); }
API HRESULT WINAPI CertSrvBackupClose(void *h) { return simple(h, "close", 0); }
API HRESULT WINAPI CertSrvBackupTruncateLogs(void *h) { return simple(h, "truncate_logs", 0); }
API HRESULT WINAPI CertSrvBackupEnd(void *h) { return end(h, "end"); }
API void WINAPI CertSrvBackupFree(void *memory) { give_back(memory); }
API HRESULT WINAPI CertSrvRestorePrepareW(WCHAR const *server, ULONG flags, void **handle)
{
    Request request = {.texts = {server}, .numbers = {flags}};
    return begin("prepare_restore", &request, handle);
}
API HRESULT WINAPI CertSrvRestoreGetDatabaseLocationsW(void *h, WCHAR **names, DWORD *size) { return list(h, "database_locations", names, size); }
API HRESULT WINAPI CertSrvRestoreRegisterW(void *h, WCHAR const *checkpoint, WCHAR const *logs, CSEDB_RSTMAPW rows[], LONG rows_count, WCHAR const *backup_logs, ULONG low, ULONG high)
{
    const WCHAR *paths[] = {checkpoint, logs, backup_logs};
    return enter(h, paths, rows, rows_count, low, high);
}
API HRESULT WINAPI CertSrvRestoreRegisterComplete(void *h, HRESULT status) { return simple(h, "register_complete", (DWORD)status); }
API HRESULT WINAPI CertSrvRestoreEnd(void *h) { return end(h, "end"); }

/* ntdsbcli.dll */
API HRESULT WINAPI DsIsNTDSOnlineW(const WCHAR *server, WINBOOL *answer) { return online(server, answer); }
API HRESULT WINAPI DsBackupPrepareW(const WCHAR *server, ULONG grbit, ULONG kind, void **token, DWORD *token_size, void **handle)
{
    Request request = {.texts = {server}, .numbers = {kind, grbit}};
    HRESULT result = begin("prepare_backup", &request, handle);
    return result ? result : hand_out(&request, token, token_size);
}
API HRESULT WINAPI DsBackupGetDatabaseNamesW(void *h, WCHAR **names, DWORD *size) { return list(h, "database_names", names, size); }
API HRESULT WINAPI DsBackupGetBackupLogsW(void *h, WCHAR **names, DWORD *size) { return list(h, "backup_logs", names, size); }
API HRESULT WINAPI DsBackupOpenFileW(void *h, const WCHAR *name, DWORD hint, LARGE_INTEGER *size)
{
    return hint % 8192 || hint < 24576 ? (HRESULT)0x80070057 : open_file(h, name, hint, size);
}
API HRESULT WINAPI DsBackupRead(void *h, void *buffer, DWORD size, DWORD *got)
{
    return size % 8192 || size < 24576 ? (HRESULT)0x80070057 : read_file(h, buffer, size, got);
}
API HRESULT WINAPI DsBackupClose(void *h) { return simple(h, "close", 0); }
API HRESULT WINAPI DsBackupTruncateLogs(void *h) { return simple(h, "truncate_logs", 0); }
API HRESULT WINAPI DsBackupEnd(void *h) { return end(h, "end"); }
API void WINAPI DsBackupFree(void *memory) { give_back(memory); }
API HRESULT WINAPI DsRestorePrepareW(const WCHAR *server, ULONG flags, void *token, DWORD token_size, void **handle)
{
    Request request = {.texts = {server}, .numbers = {flags, token_size}, .memory = token};
    return begin("prepare_restore", &request, handle);
}
API HRESULT WINAPI DsRestoreGetDatabaseLocationsW(void *h, WCHAR **names, DWORD *size) { return list(h, "database_locations", names, size); }
API HRESULT WINAPI DsRestoreRegisterW(void *h, const WCHAR *checkpoint, const WCHAR *logs, EDB_RSTMAPW rows[], LONG rows_count, const WCHAR *backup_logs, ULONG low, ULONG high)
{
    const WCHAR *paths[] = {checkpoint, logs, backup_logs};
    return enter(h, paths, rows, rows_count, low, high);
}
API HRESULT WINAPI DsRestoreRegisterComplete(void *h, HRESULT status) { return simple(h, "register_complete", (DWORD)status); }
API HRESULT WINAPI DsRestoreEnd(void *h) { return end(h, "end"); }
