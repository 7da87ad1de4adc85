// Command temporal-server is a Temporal development server with its Web UI and SQLite in one binary.
//
// It understands the flags of "temporal server start-dev" which the Temporal SDKs pass to a development server, so
// it can stand in for the Temporal CLI wherever that cannot be downloaded.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	ui "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	uiversion "github.com/temporalio/ui-server/v2/server/version"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/common/resolver"
	schema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"
	"gopkg.in/yaml.v3"
)

const (
	clusterName = "active"
	loopback    = "127.0.0.1"
	usage       = "usage: temporal-server server start-dev [flags] (--help lists them)"

	// retention is how long a closed run stays visible in a namespace that this server creates.
	retention = 30 * 24 * time.Hour
)

// defaults are the server settings that differ from a cluster's: a single process serves one machine's workers, so
// one partition per task queue matches fastest, and the limits that protect a shared cluster only get in the way.
// Any of them yields to --dynamic-config-value.
var defaults = map[string]any{
	"frontend.namespaceCount":                        10_000, // long polls at once, for each API
	"frontend.namespaceRPS":                          10_000,
	"frontend.namespaceRPS.visibility":               500,
	"history.hostLevelCacheMaxSize":                  8_192,
	"matching.numTaskqueueReadPartitions":            1,
	"matching.numTaskqueueWritePartitions":           1,
	"system.forceSearchAttributesCacheRefreshOnRead": true,
}

type options struct {
	ip, uiIP         string
	port, uiPort     int
	headless         bool
	namespace        string
	database         string
	logFormat, level string
	parent           int
	attributes       map[string]enumspb.IndexedValueType
	settings         dynamicconfig.StaticClient
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "temporal-server:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 1 && args[0] == "--version" {
		// The wording of "temporal --version", which callers parse for the server's version.
		fmt.Printf("temporal-server version waymark (Server %s, UI %s)\n", headers.ServerVersion, uiversion.UIVersion)
		return nil
	}
	if len(args) < 2 || args[0] != "server" || args[1] != "start-dev" {
		return errors.New(usage)
	}
	o, err := parse(args[2:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}

	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	if o.parent != 0 {
		go watchParent(o.parent, stop)
	}

	server, err := newServer(o)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	web := "none"
	if !o.headless {
		pages := newUI(o)
		go func() { _ = pages.Start() }() // ends the process by itself if it cannot listen
		defer pages.Stop()
		web = "http://" + address(o.uiIP, o.uiPort)
	}
	fmt.Printf("Temporal %s at %s, Web UI: %s\n", headers.ServerVersion, address(o.ip, o.port), web)

	<-stop
	go func() { // a second signal, or a shutdown that hangs, ends it at once
		select {
		case <-stop:
		case <-time.After(15 * time.Second):
		}
		os.Exit(1)
	}()
	return server.Stop()
}

func parse(args []string) (*options, error) {
	o := &options{attributes: map[string]enumspb.IndexedValueType{}, settings: dynamicconfig.StaticClient{}}
	for key, value := range defaults {
		o.settings[dynamicconfig.MakeKey(key)] = value
	}
	flags := flag.NewFlagSet("temporal-server server start-dev", flag.ContinueOnError)
	flags.StringVar(&o.ip, "ip", loopback, "`address` that the server listens on")
	flags.IntVar(&o.port, "port", 7233, "`port` of the gRPC API")
	flags.StringVar(&o.uiIP, "ui-ip", "", "`address` that the Web UI listens on (default: that of --ip)")
	flags.IntVar(&o.uiPort, "ui-port", 0, "`port` of the Web UI (default: --port plus 1000)")
	flags.BoolVar(&o.headless, "headless", false, "no Web UI")
	flags.StringVar(&o.namespace, "namespace", "default", "`name` of the namespace to create if it is missing")
	flags.StringVar(&o.database, "db-filename", "", "SQLite `file`, created if missing (default: in memory)")
	flags.StringVar(&o.logFormat, "log-format", "pretty", "pretty, text or json")
	flags.StringVar(&o.level, "log-level", "warn", "debug, info, warn, error or never")
	flags.IntVar(&o.parent, "exit-with-parent", 0, "stop once the parent process is no longer `PID`")
	flags.Func("search-attribute", "`Name=Type` to register in a namespace that is created; repeatable", o.addAttribute)
	flags.Func("dynamic-config-value", "`key=value` of a server setting, in YAML or JSON; repeatable", o.addSetting)

	var help strings.Builder
	flags.SetOutput(&help)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(help.String())
		return nil, err
	case err != nil:
		return nil, err
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.uiIP == "" {
		o.uiIP = o.ip
	}
	if o.uiPort == 0 {
		o.uiPort = o.port + 1000
	}
	return o, nil
}

func (o *options) addAttribute(text string) error {
	name, kind, _ := strings.Cut(text, "=")
	value, err := enumspb.IndexedValueTypeFromString(kind)
	if name == "" || err != nil || value == enumspb.INDEXED_VALUE_TYPE_UNSPECIFIED {
		return errors.New("want Name=Type with a type like Keyword, Text, Int, Double, Bool, Datetime or KeywordList")
	}
	o.attributes[name] = value
	return nil
}

func (o *options) addSetting(text string) error {
	key, source, found := strings.Cut(text, "=")
	if key == "" || !found {
		return errors.New("want key=value")
	}
	var value any
	if err := yaml.Unmarshal([]byte(source), &value); err != nil {
		return err
	}
	o.settings[dynamicconfig.MakeKey(key)] = value
	return nil
}

func newServer(o *options) (temporal.Server, error) {
	for _, wanted := range [][2]string{{"gRPC API", address(o.ip, o.port)}, {"Web UI", address(o.uiIP, o.uiPort)}} {
		if wanted[0] == "Web UI" && o.headless {
			continue
		}
		listener, err := net.Listen("tcp", wanted[1])
		if err != nil {
			return nil, fmt.Errorf("cannot serve its %s on %s: %w", wanted[0], wanted[1], errors.Unwrap(err))
		}
		_ = listener.Close()
	}
	store := sqlStore(o.database)
	if err := prepare(store, o); err != nil {
		if strings.Contains(err.Error(), "SQLITE_BUSY") {
			err = errors.New("another process is using it")
		}
		return nil, fmt.Errorf("cannot use database %s: %w", cmp.Or(o.database, "in memory"), err)
	}
	return temporal.NewServer(serverOptions(o, store)...)
}

func sqlStore(database string) *config.SQL {
	if database == "" {
		return &config.SQL{
			PluginName:        sqlite.PluginName,
			DatabaseName:      "temporal",
			ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
		}
	}
	return &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: database,
		ConnectAttributes: map[string]string{
			"mode":         "rwc",
			"busy_timeout": "2000",
			"locking_mode": "exclusive", // a second server on the same file is refused instead of corrupting runs
			"journal_mode": "wal",
			"synchronous":  "normal", // a crash of the process loses nothing; of the machine, at most the last moment
		},
	}
}

// prepare makes the tables and the namespace, unless the database has them already.
func prepare(store *config.SQL, o *options) error {
	if o.database != "" {
		if err := os.MkdirAll(filepath.Dir(o.database), 0o755); err != nil {
			return err
		}
		if err := createTables(store); err != nil {
			return err
		}
	}
	namespace, err := schema.NewNamespaceConfig(clusterName, o.namespace, false, o.attributes)
	if err != nil {
		return err
	}
	namespace.Detail.Config.Retention = durationpb.New(retention)
	return schema.CreateNamespaces(store, namespace)
}

// createTables runs as one transaction, so that a start which is cut short leaves no half-made file behind.
func createTables(store *config.SQL) error {
	db, err := sql.NewSQLAdminDB(
		sqlplugin.DbKindUnknown, store, resolver.NewNoopResolver(), log.NewNoopLogger(), metrics.NoopMetricsHandler)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if tables, err := db.ListTables(store.DatabaseName); err != nil || slices.Contains(tables, "namespaces") {
		return errors.Join(err, db.Exec("ROLLBACK"))
	}
	if err := schema.SetupSchemaOnDB(db); err != nil {
		return errors.Join(err, db.Exec("ROLLBACK"))
	}
	return db.Exec("COMMIT")
}

func serverOptions(o *options, store *config.SQL) []temporal.ServerOption {
	frontend := address(dialable(o.ip), o.port)
	settings := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     sqlite.PluginName,
			VisibilityStore:  sqlite.PluginName,
			NumHistoryShards: 1,
			DataStores:       map[string]config.DataStore{sqlite.PluginName: {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: frontend},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		Services: map[string]config.Service{},
	}
	settings.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: loopback}

	// The other services are for this process alone: free ports of the loopback interface, known without discovery.
	hosts := map[primitives.ServiceName]static.Hosts{}
	for _, service := range temporal.DefaultServices {
		ip, port, host := loopback, 0, frontend
		if service == string(primitives.FrontendService) {
			ip, port = o.ip, o.port
		} else {
			port = freePort()
			host = address(ip, port)
		}
		settings.Services[service] = config.Service{RPC: config.RPC{BindOnIP: ip, GRPCPort: port}}
		hosts[primitives.ServiceName(service)] = static.SingleLocalHost(host)
	}
	return []temporal.ServerOption{
		temporal.WithConfig(settings),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(newLogger(o)),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
		temporal.WithDynamicConfigClient(o.settings),
	}
}

func newLogger(o *options) log.Logger {
	settings := log.Config{Level: o.level, Format: "console"}
	if o.logFormat == "json" {
		settings.Format = "json"
	}
	if o.level == "never" {
		return log.NewNoopLogger()
	}
	return log.NewZapLogger(log.BuildZapLogger(settings))
}

func newUI(o *options) *ui.Server {
	return ui.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: address(dialable(o.ip), o.port),
		Host:                bracketed(o.uiIP),
		Port:                o.uiPort,
		EnableUI:            true,
		DefaultNamespace:    o.namespace,
		DisableNewsFetch:    true,
		HideLogs:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true},
	}))
}

// watchParent asks for a shutdown once this process has been orphaned, even by a SIGKILL of the process that
// started it. It works for every kind of parent, and whichever of its threads made the start.
func watchParent(pid int, stop chan<- os.Signal) {
	for os.Getppid() == pid {
		time.Sleep(200 * time.Millisecond)
	}
	stop <- syscall.SIGTERM
}

func freePort() int {
	listener, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		panic(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

func address(ip string, port int) string { return net.JoinHostPort(ip, strconv.Itoa(port)) }

func bracketed(ip string) string {
	if strings.Contains(ip, ":") {
		return "[" + ip + "]"
	}
	return ip
}

// dialable turns "every interface", which one can listen on but not connect to, into the loopback address.
func dialable(ip string) string {
	if parsed := net.ParseIP(ip); parsed != nil && parsed.IsUnspecified() {
		return loopback
	}
	return ip
}
