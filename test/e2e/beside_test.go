package e2e

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// together is how many tests run at a time, unless -parallel says otherwise: most of
// their time is waiting, for containers, clocks and drains.
const together = "3"

// Why a test runs alone.
const (
	measures = "its load counts every loss, and every request that could not be sent in time: one load at a time"
	compares = "it compares answers before and after a shift, and a neighbour would make either slower"
	loses    = "its control must lose, for the reason it names and no other"
	counts   = "it looks at all volumes of the Engine"
	redirect = "it looks at the machine's own nat table"
	prefix   = "it looks for what is named like its project, and other projects' names begin alike"
)

// alone names the tests that run one after the other, before all others. What is not
// here runs beside others: it has a project, ports, images and a state directory of its
// own, and asks nothing of the Engine but of that project.
var alone = map[string]string{
	"TestAdopt_WhatDockerComposeRunsIsTakenOverUnderLoad": redirect,

	"TestUDP_IsTakenOverOutlivesDaemonAndProxyAndGoesWithDown": redirect,

	"TestAnonymousVolume_IsCarriedOverByEverythingButDownWithVolumes": counts,
	"TestAnonymousVolume_EachReplicaHasItsOwn":                        counts,
	"TestAnonymousVolume_EphemeralOnesAreNewEachTime":                 counts,

	"TestInner_NamesPortsAndComposeBehaveAsBefore":    prefix,
	"TestInner_NothingCrossesFromOneNetworkToAnother": prefix,

	"TestControl_TheGuidesOwnProcedureLoses":                         loses,
	"TestDrill_OfAServiceThatIsReplacedWithAGapLosesAndExits5":       loses,
	"TestIdentity_ControlATableThatNamesTheWrongProcessesShowsAdmin": loses,
	"TestInnerControl_AContainerInTwoNetworksIsABridge":              loses,
	"TestInnerControl_AliasesOnContainersLose":                       loses,
	"TestQuiet_HeldRolloutsLoseAtMostAFewAnswers":                    loses,

	"TestAssets_APageOfTheReleaseBeforeFindsItsFilesInTheWatchWindow":              compares,
	"TestCanary_CallsFromWithinAreSharedAndLoseNothing":                            compares,
	"TestCanary_GoesOnByItselfAndBackWhenTheNewReleaseDies":                        compares,
	"TestCanary_OneThatFailsMoreGoesBackAtOnce":                                    compares,
	"TestCanary_StepsAreSharedAndSteeredUnderLoadAndLoseNothing":                   compares,
	"TestWatch_ABadReleaseIsShiftedBackAlsoByTheNextDaemonAndWithoutAWatchItStays": compares,
	"TestWatch_AReleaseThatIsNoWorseIsNeverTakenBackUnderLoad":                     compares,
	"TestWhole_ThreeServicesGoBackInOneMoveWhenTheThirdFailsItsWatch":              compares,

	"TestDeploy_RolloutsOfOneServiceUnderLoadLoseNothing":                      measures,
	"TestDeploy_RolloutsOfTheWholeStackUnderLoadLoseNothing":                   measures,
	"TestDrill_OfAServiceThatIsReplacedBesideItLosesNothingAndBothCountsAgree": measures,
	"TestDrill_RollsNothingOutThatItCouldNotJudge":                             measures,
	"TestGuide_FromTopToBottomBehindNginxLosesNothing":                         measures,
	"TestGunicorn_RolloutsWithLongRequestsInFlightLoseNothing":                 measures,
	"TestHold_ASingletonIsReplacedUnderLoadAndNothingIsLost":                   measures,
	"TestHold_ItsBoundsItsUndoAndItsAbsence":                                   measures,
	"TestHooks_MigrateOnceBeforeAnythingAndNothingIsLost":                      measures,
	"TestHosts_RolloutsOverTLSLoseNothing":                                     measures,
	"TestInner_RolloutsOfServicesCalledByNameLoseNothing":                      measures,
	"TestInner_TheProxyKilledRefusesNobody":                                    measures,
	"TestInner_TheWholeStackUnderLoadLosesNothingThoughApiCallsItAll":          measures,
	"TestMaintenance_CallsFromWithinGoOn":                                      measures,
	"TestMaintenance_OnAndOffUnderLoadIsTheAppOrThePage":                       measures,
	"TestMonitor_StatusMetricsAndAccessLogCountWhatTheLoadSentAcrossRollouts":  measures,
	"TestProxy_OneThatSystemdStartsAgainRefusesNobody":                         measures,
	"TestQuiet_TheStackAnswersWhileItsQueueIsReplacedAgainAndAgain":            measures,
	"TestReceipt_IsWhatTheLoadCounted":                                         measures,
	"TestReplicas_ReplacedOneAtATimeAndAllAtOnceUnderLoadLoseNothing":          measures,
	"TestRollback_ReturnsFilesEnvironmentAndImageUnderLoad":                    measures,
	"TestScale_UpAndDownUnderLoadLosesNothing":                                 measures,
	"TestFullDisk_InTheMiddleOfARolloutUnderLoad":                              measures,
	"TestFullDisk_InAWatchWindowTheOldReleaseServesAtOnce":                     compares,
	"TestOrphans_ARenamedServiceKeepsItsPortUnderLoad":                         measures,
	"TestOrphans_ARenamedDatabaseWaitsForTheOldOnesEnd":                        measures,
	"TestOrphans_WhatDockerComposeRunsIsTakenOverUnderAnotherName":             measures,
	"TestUDP_PublishedPortsLoseNothing":                                        measures,
	"TestUpdateConfig_OneAtATimeUnderLoad":                                     measures,
}

// beside lets a test run beside others, unless it must be alone. A part of a test runs
// where its test does.
func beside(t testing.TB) {
	test, ok := t.(*testing.T)
	if !ok || strings.Contains(t.Name(), "/") || alone[t.Name()] != "" {
		return
	}
	test.Parallel()
}

// limitTogether sets how many run at a time. The default would be one for each core.
func limitTogether() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", together)
}

// projectOf finds a host's project in a test's source.
var projectOf = regexp.MustCompile(`Host\(t, "([^"]+)"\)`)

// TestAlone_NamesTestsThatAreThere has the list shrink with the tests, and no two of
// them have one project.
func TestAlone_NamesTestsThatAreThere(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("*_test.go")
	for _, name := range files {
		b, rerr := os.ReadFile(name)
		err = errors.Join(err, rerr)
		source.Write(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, of := range projectOf.FindAllStringSubmatch(source.String(), -1) {
		if taken[of[1]] {
			t.Errorf("two tests have the project %s", of[1])
		}
		taken[of[1]] = true
	}
	for name := range alone {
		if !strings.Contains(source.String(), "\nfunc "+name+"(t *testing.T)") {
			t.Errorf("%s is in the list and is no test", name)
		}
	}
}
